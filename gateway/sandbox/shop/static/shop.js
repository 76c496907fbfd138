// The demo shop's own script: a consent banner that writes OneTrust's cookies, and calls of the client script that say what happened on this page.
(() => {
  'use strict';
  const body = document.body;
  const byId = (id) => document.getElementById(id);
  const banner = byId('banner');
  const say = (text) => { byId('event-state').textContent = text; };
  // The client script may come before this file or after it: until it is there, its two names are queues.
  const call = (name, ...given) => { (window[name] = window[name] || []).push(given); };
  const groups = () => (/(?:^|; )OptanonConsent=([^;]*)/.exec(document.cookie) || [])[1];
  const consent = () => {
    const found = /groups(?:=|%3D)([^&]*)/.exec(groups() || '');
    return found ? /C0004(?::|%3A)1/.test(found[1]) : null;
  };
  const words = {
    null: ['not given yet', 'Until it is given, this page keeps its events in memory and sends nothing.'],
    true: ['given', 'Events of this page go to TikTok, with identity as one-way digests.'],
    false: ['refused', 'Nothing leaves this page, no cookie is set and the gateway has forgotten this visitor.'],
  };
  const states = {
    null: 'What happens here waits for your choice.',
    true: 'Sending …',
    false: 'Consent refused: no event was sent from this page.',
  };
  const show = () => {
    const granted = consent();
    [byId('consent-state').textContent, byId('consent-why').textContent] = words[granted];
    say(states[granted]);
    banner.hidden = granted !== null;
  };
  const choose = (granted) => {
    const state = granted ? 1 : 0;
    const value = `isGpcEnabled=0&version=202405.1.0&groups=${encodeURIComponent(`C0001:1,C0002:${state},C0003:${state},C0004:${state}`)}`;
    const rest = 'path=/; max-age=31536000; samesite=lax';
    document.cookie = `OptanonConsent=${value}; ${rest}`;
    document.cookie = `OptanonAlertBoxClosed=${new Date().toISOString()}; ${rest}`;
    show();
    window.dispatchEvent(new Event('OneTrustGroupsUpdated'));
  };

  // On one machine every visitor comes from a loopback address, which is never passed on: the demo says what a load balancer would.
  const address = body.dataset.visitorIp;
  if (address) {
    const send = window.fetch.bind(window);
    window.fetch = (url, options) => send(url, { ...options, headers: { 'Content-Type': 'text/plain;charset=UTF-8', 'X-Forwarded-For': address } });
    navigator.sendBeacon = (url, data) => { window.fetch(url, { method: 'POST', body: data, keepalive: true }); return true; };
  }

  const names = (events) => events.map((event) => (event.type === 'page' ? 'the page view' : event.event)).join(' and ');
  call('ttq', 'on', 'sent', ({ events, answer }) => {
    const { accepted = 0, filtered = 0 } = answer || {};
    if (accepted) say(`Sent ${names(events)}: the gateway accepted ${accepted}.`);
    else say(`Sent ${names(events)}: ${filtered ? 'a rule left it out, see /metrics' : 'the gateway had it already, so it counts once'}.`);
  });
  call('ttq', 'on', 'error', ({ answer }) => say(`The gateway refused: ${answer ? answer.error.message : 'no reason given'}`));
  if (body.dataset.event) {
    const told = JSON.parse(body.dataset.event);
    if (told.traits) call('_df', 'identify', told.traits);
    call('_df', 'track', told.event, told.properties, { event_id: told.messageId });
  }
  byId('accept').addEventListener('click', () => choose(true));
  byId('refuse').addEventListener('click', () => choose(false));
  byId('consent-change').addEventListener('click', () => { banner.hidden = false; byId('accept').focus(); });
  show();
})();
