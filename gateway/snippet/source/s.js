/*
 * The client script. Law: it never throws into the page and never holds up its end; before consent everything stays in memory and nothing
 * is sent; a blocked request is not tried by another way; no globals but the two, ttq (or data-global) and _df.
 *
 * Its tag's attributes: data-key, data-mode (replace|beside), data-consent (auto|granted|denied), data-global, data-page="off", data-spa="off",
 * data-gpc="off", data-onetrust (the marketing group, C0004), data-endpoint (else the folder the script came from). Types: ../ttgateway.d.ts.
 * What is here must fit 4 kB when compressed: names are long because the build shortens them, phrases recur because gzip likes it.
 */
((window, document, navigator) => {
  const tag = document.currentScript || document.querySelector('script[data-key]');
  if (!tag) return;
  const attribute = (name, fallback) => tag.getAttribute('data-' + name) || fallback;
  const globalName = attribute('global', 'ttq');
  const stub = window[globalName];
  const earlier = window._df;
  // A second tag on the page finds the mark of the first.
  if ((stub && stub.gw) || (earlier && earlier.gw)) return;

  const BATCH = 10, LINGER_MS = 1000, MAX_QUEUE = 2000, MAX_BYTES = 6e4, MAX_BLOCKED = 6, REST_MS = 6e5, ANSWER_MS = 3e4;
  const endpoint = attribute('endpoint', tag.src.replace(/\/[^/?]*(\?.*)?$/, ''));
  const key = attribute('key', '');
  const HASHED = /^[0-9a-f]{64}$/i;
  const SHARED = 'page track identify enableCookie disableCookie holdConsent grantConsent revokeConsent'.split(' ');
  const listeners = {};
  const queue = [];
  // What one request carries is the beginning of the queue until it is answered; null: none is under way.
  let flight = null;
  let who = {};
  let hashing = Promise.resolve();
  let explicit = { granted: 1, denied: 0 }[attribute('consent')];
  let cookies = true, logging, held, tcf, tcfAsked, owed, restored;
  let timer = 0, due = 0, notBefore = 0, tries = 0, alone = 0, patience = 3;
  let route, referrer = document.referrer;

  const log = (...what) => { if (logging) console.info(globalName, ...what); };
  const safely = (work) => (...given) => {
    try { return work(...given); } catch (error) { log(error); }
  };
  const emit = (name, value) => {
    log(name, value);
    (listeners[name] || []).slice().forEach((listener) => safely(listener)(value));
  };
  const hex = (bytes) => Array.from(new Uint8Array(bytes), (byte) => (byte + 256).toString(16).slice(1)).join('');
  const utf8 = (text) => new TextEncoder().encode(text);
  const id = () => {
    const bytes = new Uint8Array(16).map(() => Math.random() * 256);
    safely(() => crypto.getRandomValues(bytes))();
    return hex(bytes);
  };
  const cookie = safely((name) => (('; ' + document.cookie).split('; ' + name + '=')[1] || '').split(';')[0]);
  const decoded = (text) => safely(decodeURIComponent)(text || '') || '';
  const calls = (list) => (Array.isArray(list) ? list.slice() : []);
  const away = () => navigator.onLine === false;
  const stored = safely((value) => {
    const before = sessionStorage._ttgw;
    if (value) sessionStorage._ttgw = JSON.stringify(value);
    else sessionStorage.removeItem('_ttgw');
    return before && JSON.parse(before);
  });
  const onlyHashed = (person) => {
    const kept = {};
    Object.keys(person).forEach((field) => { if (HASHED.test(person[field])) kept[field] = person[field]; });
    return kept;
  };

  // ---- consent: all signals merged, a denial beats a grant, and a banner that nobody has answered yet says nothing

  const signals = () => {
    const consent = {};
    const say = (category, yes) => { consent[category] = !!yes && consent[category] !== false; };
    // Told apart before it is decoded: OneTrust also keeps the landing page's address there, and anybody can make a link.
    let groups = cookie('OptanonConsent') || '';
    if (!groups.includes('&')) groups = decoded(groups);
    groups = window.OnetrustActiveGroups || decoded((/(?:^|&)groups=([^&]*)/.exec(groups) || [])[1]).replace(/:1/g, '');
    const bot = window.Cookiebot && Cookiebot.hasResponse && Cookiebot.consent;
    const jar = decoded(cookie('CookieConsent'));
    const mode = {};
    // gtag pushes its arguments. Defaults are nobody's choice, and may hold for one region only.
    calls(window.dataLayer).forEach((entry) => { if (entry && entry[0] === 'consent' && entry[1] === 'update') Object.assign(mode, entry[2]); });
    [['marketing', attribute('onetrust', 'C0004'), 'marketing', 'ad_storage'], ['analytics', 'C0002', 'statistics', 'analytics_storage']].forEach(([category, group, purpose, storage]) => {
      const active = groups.split(',').includes(group);
      if (groups && (active || cookie('OptanonAlertBoxClosed'))) say(category, active);
      if (bot) say(category, bot[purpose]);
      // -1: outside the region where Cookiebot asks; 0: everything declined.
      else if (/^(-1|0)$|marketing:/.test(jar)) say(category, jar === '-1' || jar.includes(purpose + ':true'));
      if (mode[storage]) say(category, mode[storage] === 'granted');
      if (explicit >= 0) say(category, explicit);
    });
    if (tcf) say('marketing', tcf[1] && tcf[3] && tcf[4]);
    if (navigator.globalPrivacyControl && attribute('gpc') !== 'off') say('marketing');
    return consent;
  };
  // The signals if they let anything be sent; whatever has changed since it was asked takes effect here.
  const permitted = safely(() => {
    // Nobody sees the page yet, and its storage is not yet the tab's.
    if (document.prerendering) return;
    if (window.__tcfapi && !tcfAsked) {
      tcfAsked = true;
      __tcfapi('addEventListener', 2, safely((data, ok) => {
        if (ok && data.gdprApplies !== false && /^(tcl|usera)/.test(data.eventStatus)) {
          tcf = data.purpose.consents;
          wake();
        }
      }));
    }
    const consent = signals();
    if (consent.marketing) {
      if (held) return;
      owed = true;
      if (!restored) {
        restored = true;
        const kept = stored();
        if (kept) {
          queue.unshift(...kept.queue);
          Object.assign(who, kept.who, Object.assign({}, who));
          clickId = clickId || kept.clickId;
        }
      }
      return consent;
    }
    if (consent.marketing === false) {
      queue.length = 0;
      flight = null;
      who = {};
      stored();
      // The edge expires its cookies and purges what still waits there. Until it has said so, the withdrawal is owed to it.
      if (owed || (owed !== false && cookie('_ttp'))) {
        owed = false;
        post('/v1/c', JSON.stringify({ consent, writeKey: key })).then(owing, owing);
      }
    }
  });
  const owing = (answer) => { if (!answer.ok) owed = true; };
  const wake = () => { if (permitted()) schedule(0); };

  // ---- events

  let clickId = (/[?&]ttclid=([\w.~-]{1,2048})(?=[&#]|$)/.exec(location.href) || [])[1];
  const add = (type, name, properties, options, library, pixel) => {
    if (!name) return;
    const event = {
      type, event: name, messageId: String((options || {}).event_id || (properties || {}).event_id || id()), timestamp: new Date().toISOString(),
      // A copy, because pages go on using their objects; what is no JSON stays behind alone.
      properties: safely(() => JSON.parse(JSON.stringify(properties || {})))(),
      context: { page: { url: location.href, referrer, title: document.title }, locale: navigator.language, library, pixel: pixel && { code: pixel } },
    };
    if (queue.length >= MAX_QUEUE) queue.splice(flight ? flight.length : 0, 1);
    queue.push({ event, who });
    emit(type, event);
    schedule(queue.length >= BATCH ? 0 : LINGER_MS);
  };
  const here = () => location.pathname + location.search + (/^#[!/]/.test(location.hash) ? location.hash : '');
  const page = (properties, options, library, pixel) => {
    if (route && route.at !== here()) referrer = route.url;
    route = { at: here(), url: location.href };
    add('page', 'page', properties, options, library, pixel);
  };
  const shapes = {
    email: (text) => /^[^\s@]+@[^\s@]+$/.test(text) && text.toLowerCase(),
    // Others need a region, or rules that only the edge has: they go over TLS as they are.
    phone_number: (text) => /^\+[1-9][\d .-]{6,}$/.test(text) && text.replace(/[ .-]/g, ''),
    external_id: (text) => text,
  };
  shapes.phone = shapes.phone_number;
  const keep = () => stored({ queue: queue.map((entry) => ({ event: entry.event, who: onlyHashed(entry.who) })), who: onlyHashed(who), clickId });
  const identify = (given) => {
    // A new object each time: events before this call keep whom they were made for.
    const person = who = Object.assign({}, who, given);
    Object.keys(shapes).forEach((field) => {
      const text = /string|number/.test(typeof person[field]) && !HASHED.test(person[field]) && shapes[field]((person[field] + '').trim());
      if (text) {
        const digest = safely(() => crypto.subtle.digest('SHA-256', utf8(text)).then((bytes) => { person[field] = hex(bytes); }))();
        hashing = Promise.all([hashing, digest]).catch(log);
      }
    });
    // Not only when the page ends: a prerendered one may come to be seen before that.
    hashing.then(() => { if (permitted()) keep(); });
  };

  // ---- delivery: one request at a time, so that order holds and the first answer makes the cookies once

  const dressed = (entry, consent) => JSON.stringify(Object.assign({}, entry.event, {
    traits: entry.who, context: Object.assign({ consent, ttclid: clickId }, entry.event.context),
  }));
  const batch = (from, most, consent) => {
    const texts = [];
    let size = 0;
    queue.slice(from, from + most).every((entry) => {
      const text = dressed(entry, consent);
      size += utf8(text).length;
      return (!texts.length || size < MAX_BYTES) && texts.push(text);
    });
    return texts;
  };
  const envelope = (texts) => '{"batch":[' + texts + '],"sentAt":"' + new Date().toISOString() + '","writeKey":' + JSON.stringify(key) + '}';
  const post = async (path, body) => fetch(endpoint + path, {
    // A page may have 64 KiB on the way that outlive it. Browsers without AbortSignal.timeout wait as long as they do by themselves.
    method: 'POST', body, keepalive: !tries && utf8(body).length < 64e3, credentials: cookies ? 'include' : 'omit',
    signal: safely(() => AbortSignal.timeout(ANSWER_MS))(),
  });
  const schedule = (delay) => {
    const at = Math.max(Date.now() + delay, notBefore);
    if (flight || !queue.length || (timer && due <= at)) return;
    clearTimeout(timer);
    due = at;
    timer = setTimeout(safely(flush), at - Date.now());
  };
  const flush = () => {
    timer = 0;
    if (flight || !queue.length || away()) return;
    // Consent that nobody announces is noticed within a second; beside the pixel its cookie gets a few.
    if (!permitted() || (beside && !cookie('_ttp') && patience-- > 0)) return schedule(LINGER_MS);
    let mine = flight = [];
    const answered = (status, retryAfter, answer) => {
      // Withdrawn meanwhile: nothing of it is left here, but its answer may have made the cookies anew.
      if (flight !== mine) {
        owed = true;
        return permitted();
      }
      flight = null;
      if (!status || status === 429 || status > 499) {
        // Full jitter, so that a thousand tabs do not come back at once. What never gets through, online, is blocked: it rests.
        const blocked = ++tries > MAX_BLOCKED && !status;
        notBefore = Date.now() + (blocked ? REST_MS : Math.max(Math.random() * Math.min(3e4, 500 * 2 ** tries), (+retryAfter || 0) * 1000));
      } else if ((status === 400 || status === 413) && mine.length > 1) {
        alone = mine.length;  // one of them spoils the request: each by itself
      } else {
        tries = 0;
        if (alone) alone--;
        queue.splice(0, mine.length);
        emit(status < 300 ? 'sent' : 'error', { status, answer, events: mine.map((entry) => entry.event) });
      }
      schedule(queue.length >= BATCH || alone ? 0 : LINGER_MS);
    };
    hashing.then(() => {
      const consent = permitted();
      const texts = consent ? batch(0, alone ? 1 : BATCH, consent) : [];
      if (flight !== mine) return;
      if (!texts.length) { flight = null; return schedule(LINGER_MS); }
      mine = flight = queue.slice(0, texts.length);
      return post('/e', envelope(texts)).then((answer) => answer.json().catch(log).then((body) => answered(answer.status, answer.headers.get('Retry-After'), body)));
    }).catch((error) => { log(error); answered(0); });
  };
  const hidden = safely(() => {
    const consent = permitted();
    if (!consent) return;
    const from = flight ? flight.length : 0;
    let room = MAX_BYTES;
    // Not after a failure: that would be another way. It waits for the session's next page instead.
    while (queue.length > from && !tries && !away()) {
      const texts = batch(from, BATCH, consent);
      const body = envelope(texts);
      room -= utf8(body).length;
      if (room < 0) break;
      if (!cookies || !navigator.sendBeacon) post('/e', body).catch(log);
      else if (!safely(() => navigator.sendBeacon(endpoint + '/e', body))()) break;
      queue.splice(from, texts.length);
    }
    keep();
  });

  // ---- the page's handles

  const on = (name, listener) => { (listeners[name] = listeners[name] || []).push(listener); };
  const off = (name, listener) => { listeners[name] = (listeners[name] || []).filter((other) => other !== listener && other.of !== listener); };
  const guarded = (api) => {
    const safe = {};
    Object.keys(api).forEach((name) => { api[name] = safe[name] = safely(api[name]); });
    // Pages that queue, before or after this script has come: push(['track', ...]).
    api.push = safely((call) => safe[call[0]](...[].slice.call(call, 1)));
    api.gw = 1;
    return api;
  };
  const choose = (value) => () => {
    explicit = value;
    held = false;
    wake();
  };
  const handles = (pixel) => {
    const library = { name: 'ttgateway', api: 'ttq' };
    return guarded({
      page: (properties, options) => page(properties, options, library, pixel),
      track: (name, properties, options) => add('track', name, properties, options, library, pixel),
      identify, on, off,
      instance: (code) => handles(code),
      ready: (callback) => { setTimeout(safely(callback)); },
      once: (name, listener) => {
        const wrapper = (value) => { off(name, wrapper); listener(value); };
        wrapper.of = listener;
        on(name, wrapper);
      },
      enableCookie: () => { cookies = true; },
      disableCookie: () => { cookies = false; },
      holdConsent: () => { held = true; },
      grantConsent: choose(1),
      revokeConsent: choose(0),
      debug: (yes) => {
        logging = yes !== false;
        return { waiting: queue.length, consent: signals(), beside };
      },
      // The pixel's own, with nothing to do here.
      load: () => {},
    });
  };
  const api = handles();
  const library = { name: 'ttgateway' };
  const named = (name, properties) => Object.assign({}, typeof name === 'string' ? { name } : name, properties);
  const signal = guarded({
    page: (name, properties, options) => page(named(name, properties), options, library),
    track: (name, properties, options) => add('track', name, properties, options, library),
    identify: (user, traits) => identify(Object.assign({}, user && typeof user !== 'object' ? { external_id: user } : user, traits)),
    group: (group, traits) => add('group', 'group', Object.assign({ groupId: group }, traits), {}, library),
  });

  // ---- beside TikTok's own pixel: both get every call, with one event_id; its queue is read and never consumed

  const isPixel = !!stub && (stub._i || calls(stub).some((call) => call && call[0] === 'load'));
  const beside = attribute('mode', isPixel || document.querySelector('script[src*="/pixel/events.js"]') ? 'beside' : 'replace') === 'beside';
  const seen = {};
  const share = (ours, method, given) => {
    if (method === 'page' || (method === 'track' && given.length)) {
      const at = method === 'track' ? 2 : 1;
      while (given.length < at) given.push({});
      given[at] = Object.assign({ event_id: (given[at - 1] || {}).event_id || id() }, given[at]);
      const mark = [method, at > 1 && given[0], given[at].event_id];
      // The pixel's library may play its stub's queue through our wrappers.
      if (seen[mark]) return;
      seen[mark] = 1;
    }
    ours[method](...given);
  };
  const read = (list, ours) => calls(list).forEach(safely((call) => {
    if (SHARED.includes(call[0])) {
      const given = [].slice.call(call, 1);
      share(ours, call[0], given);
      given.forEach((value, n) => { call[n + 1] = value; });
    }
  }));
  const wrap = (pixel, ours) => {
    if (!pixel || pixel.gw) return pixel;
    read(pixel, ours);
    Object.keys(pixel._i || {}).forEach((code) => read(pixel._i[code], handles(code)));
    pixel.gw = 1;
    SHARED.concat('instance').forEach((method) => {
      let original = pixel[method], before, inside;
      const wrapper = (...given) => {
        // Somebody wrapped our wrapper and put the result in its place: what was there before is called at the bottom.
        if (inside) return before && before.apply(pixel, given);
        inside = true;
        try {
          if (method !== 'instance') safely(share)(ours, method, given);
          const result = original.apply(pixel, given);
          return method === 'instance' ? safely(wrap)(result, handles(given[0])) || result : result;
        } finally { inside = false; }
      };
      // The pixel's library puts its own functions in place of its stub's when it comes: ours stay in front.
      Object.defineProperty(pixel, method, {
        configurable: true, enumerable: true, get: () => original && wrapper, set: (value) => { before = original; original = value; },
      });
    });
    return pixel;
  };

  safely(() => {
    if (beside) {
      let current = safely(wrap)(stub, api) || stub;
      safely(() => Object.defineProperty(window, globalName, {
        configurable: true, enumerable: true, get: () => current, set: (value) => { current = safely(wrap)(value, api) || value; },
      }))();
    } else {
      window[globalName] = api;
      calls(stub).forEach(api.push);
    }
    // A page's own _df that is no queue is somebody else's.
    if (!earlier || Array.isArray(earlier)) window._df = signal;
    calls(earlier).forEach(signal.push);
    const begin = () => {
      if (attribute('page') !== 'off' && !route) api.page();
      if (attribute('spa') !== 'off') {
        // A moment later, when the router has put the new title in place and has had its turn to call page() itself.
        const moved = () => setTimeout(safely(() => { if (!route || route.at !== here()) api.page(); }), 50);
        ['pushState', 'replaceState'].forEach((name) => {
          const original = history[name];
          history[name] = function () {
            moved();
            return original.apply(this, arguments);
          };
        });
        addEventListener('popstate', moved);
      }
      wake();
      schedule(LINGER_MS);
    };
    if (document.prerendering) document.addEventListener('prerenderingchange', safely(begin), { once: true });
    else begin();
    'OneTrustGroupsUpdated CookiebotOnAccept CookiebotOnDecline'.split(' ').forEach((name) => addEventListener(name, wake));
    document.addEventListener('visibilitychange', () => { if (document.hidden) hidden(); });
    addEventListener('pagehide', hidden);
    addEventListener('online', () => {
      tries = notBefore = 0;
      schedule(0);
    });
  })();
})(window, document, navigator);
