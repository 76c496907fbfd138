// The demo shop's own script: a consent banner that writes a OneTrust-style cookie, and one request per page that tells the gateway what happened.
(() => {
  'use strict';
  const body = document.body;
  const byId = (id) => document.getElementById(id);
  const banner = byId('banner');
  const say = (text) => { byId('event-state').textContent = text; };
  const groups = () => (/(?:^|; )OptanonConsent=([^;]*)/.exec(document.cookie) || [])[1];
  const consent = () => {
    const found = /groups(?:=|%3D)([^&]*)/.exec(groups() || '');
    return found ? /C0004(?::|%3A)1/.test(found[1]) : null;
  };
  const show = () => {
    const granted = consent();
    byId('consent-state').textContent = granted === null ? 'not given yet' : granted ? 'given' : 'refused';
    banner.hidden = granted !== null;
  };
  const choose = (granted) => {
    const state = granted ? 1 : 0;
    const value = `isGpcEnabled=0&version=202405.1.0&groups=${encodeURIComponent(`C0001:1,C0002:${state},C0003:${state},C0004:${state}`)}`;
    document.cookie = `OptanonConsent=${value}; path=/; max-age=31536000; samesite=lax`;
    show();
    if (granted) report();
    else {
      fetch(`${body.dataset.prefix}/v1/c`, { method: 'POST', body: JSON.stringify({ consent: { marketing: false }, writeKey: body.dataset.key }) });
      say('Consent refused: nothing is sent to TikTok, and the gateway has forgotten this visitor.');
    }
  };
  const id = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, '0')).join('');
  const plain = { 'Content-Type': 'text/plain;charset=UTF-8' };
  let reported = false;
  const report = async () => {
    if (reported) return;
    const now = new Date().toISOString();
    const context = {
      page: { url: location.href, path: location.pathname, referrer: document.referrer, title: document.title },
      locale: navigator.language,
    };
    const events = [{ type: 'page', messageId: id(), timestamp: now, context }];
    if (body.dataset.event) events.push({ type: 'track', messageId: id(), timestamp: now, context, ...JSON.parse(body.dataset.event) });
    try {
      const answer = await fetch(`${body.dataset.prefix}/e`, {
        method: 'POST', keepalive: true, headers: body.dataset.visitorIp ? { ...plain, 'X-Forwarded-For': body.dataset.visitorIp } : plain,
        body: JSON.stringify({ batch: events, sentAt: new Date().toISOString(), writeKey: body.dataset.key }),
      });
      const result = await answer.json();
      reported = result.accepted > 0;
      const names = events.map((event) => event.event || 'page').join(' and ');
      if (!answer.ok) say(`The gateway refused: ${result.error.message}`);
      else if (result.accepted) say(`Sent ${names}: the gateway accepted ${result.accepted}.`);
      else say(`Sent ${names}: the gateway kept nothing – ${{ null: 'no consent was given yet', false: 'consent was refused', true: 'a rule left it out, see /metrics' }[consent()]}.`);
    } catch {
      say('The gateway could not be reached; the shop works all the same.');
    }
  };
  byId('accept').addEventListener('click', () => choose(true));
  byId('refuse').addEventListener('click', () => choose(false));
  byId('consent-change').addEventListener('click', () => { banner.hidden = false; byId('accept').focus(); });
  show();
  report();
})();
