// The demo shop's own script: a consent banner that writes a OneTrust-style cookie, and one request per page that tells the gateway what happened.
(() => {
  'use strict';
  const body = document.body;
  const byId = (id) => document.getElementById(id);
  const banner = byId('banner');
  const say = (text) => { byId('event-state').textContent = text; };
  const plain = { 'Content-Type': 'text/plain;charset=UTF-8' };
  const groups = () => (/(?:^|; )OptanonConsent=([^;]*)/.exec(document.cookie) || [])[1];
  const consent = () => {
    const found = /groups(?:=|%3D)([^&]*)/.exec(groups() || '');
    return found ? /C0004(?::|%3A)1/.test(found[1]) : null;
  };
  const words = {
    null: ['not given yet', 'Until it is given, the gateway stores nothing and sends nothing to TikTok.'],
    true: ['given', 'Events of this page go to TikTok, with identity as one-way digests.'],
    false: ['refused', 'The gateway stores nothing, sets no cookie and sends nothing to TikTok.'],
  };
  const show = () => {
    const granted = consent();
    [byId('consent-state').textContent, byId('consent-why').textContent] = words[granted];
    banner.hidden = granted !== null;
  };
  const withdraw = async () => {
    const unreached = 'Consent refused: nothing is sent. The gateway could not be told.';
    try {
      const answer = await fetch(`${body.dataset.prefix}/v1/c`, {
        method: 'POST', keepalive: true, headers: plain, body: JSON.stringify({ consent: { marketing: false }, writeKey: body.dataset.key }),
      });
      say(answer.ok ? 'Consent refused: nothing is sent to TikTok, and the gateway has forgotten this visitor.' : unreached);
    } catch {
      say(unreached);
    }
  };
  const choose = (granted) => {
    const state = granted ? 1 : 0;
    const value = `isGpcEnabled=0&version=202405.1.0&groups=${encodeURIComponent(`C0001:1,C0002:${state},C0003:${state},C0004:${state}`)}`;
    document.cookie = `OptanonConsent=${value}; path=/; max-age=31536000; samesite=lax`;
    show();
    if (granted) report();
    else withdraw();
  };
  const id = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, '0')).join('');
  let reported = false;
  const ids = [id(), id()]; // made once per page: what is sent again, before and after a choice, stays the same event
  const report = async () => {
    if (reported) return;
    const now = new Date().toISOString();
    const context = {
      page: { url: location.href, path: location.pathname, referrer: document.referrer, title: document.title },
      locale: navigator.language,
    };
    const events = [{ type: 'page', messageId: ids[0], timestamp: now, context }];
    if (body.dataset.event) events.push({ type: 'track', messageId: ids[1], timestamp: now, context, ...JSON.parse(body.dataset.event) });
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
