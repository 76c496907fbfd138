/*
 * The client script. Law: it never throws into the page, never blocks unload, keeps nothing outside memory and sends nothing
 * before consent, and makes no globals but the two (ttq, or the name in data-global, and _df). A blocked request is not retried by another way.
 *
 * Attributes of its own tag: data-key, data-mode (replace|beside), data-consent (auto|granted|denied), data-global,
 * data-page="off", data-spa="off", data-endpoint (default: the folder the script came from).
 */
((window, document) => {
  const tag = document.currentScript || document.querySelector('script[data-key]');
  const attribute = (name, fallback) => (tag && tag.getAttribute('data-' + name)) || fallback;
  const globalName = attribute('global', 'ttq');
  const stub = window[globalName];
  // Twice on a page does not start twice: the finished object carries the mark.
  if (!tag || (stub && stub.firstParty)) return;

  const endpoint = attribute('endpoint', tag.src.replace(/\/[^/]*$/, ''));
  const key = attribute('key', '');
  const STORE = '_ttgw';
  const METHODS = 'page track identify instance ready on off once enableCookie disableCookie holdConsent grantConsent revokeConsent debug'.split(' ');
  const BATCH = 10, LINGER_MS = 1000, MAX_QUEUE = 2000, MAX_BYTES = 60000, MAX_TRIES = 8;
  const queue = [];
  const listeners = {};
  let hashing = Promise.resolve();
  let traits = {}, userId = '', clickId = '', cookies = true, logging = false;
  let explicit = { granted: 1, denied: 0 }[attribute('consent', 'auto')];
  let tcf, wasGranted = false, busy = false, tries = 0, timer = 0, lastPage = '', pageSeen = false;

  const safely = (work) => function () {
    try { return work.apply(this, arguments); } catch (error) { log('failed', error); }
  };
  const log = (...what) => { if (logging && window.console) console.info('[' + globalName + ']', ...what); };
  const emit = (name, value) => (listeners[name] || []).slice().forEach((listener) => safely(listener)(value));
  const id = () => {
    const bytes = new Uint8Array(16);
    if (window.crypto && crypto.getRandomValues) crypto.getRandomValues(bytes);
    else bytes.forEach((_, n) => { bytes[n] = Math.random() * 256; });
    return Array.from(bytes, (byte) => (byte + 256).toString(16).slice(1)).join('');
  };
  const cookie = (name) => {
    const found = ('; ' + document.cookie).split('; ' + name + '=')[1];
    if (!found) return '';
    const value = found.split(';')[0];
    try { return decodeURIComponent(value); } catch (error) { return value; }
  };
  const store = safely((value) => {
    if (value === undefined) return JSON.parse(sessionStorage.getItem(STORE) || 'null');
    if (value) sessionStorage.setItem(STORE, JSON.stringify(value)); else sessionStorage.removeItem(STORE);
  });

  // ---- consent: every signal found is merged, a denial beats a grant; null = no signal yet
  const signals = () => {
    const consent = {};
    let any = false;
    const say = (category, granted) => {
      any = true;
      consent[category] = granted && consent[category] !== false;
    };
    const groups = window.OnetrustActiveGroups || (/groups=([^&]*)/.exec(cookie('OptanonConsent')) || [])[1];
    if (groups) {
      const active = window.OnetrustActiveGroups
        ? (group) => groups.includes(group) : (group) => groups.includes(group + ':1');
      say('analytics', active('C0002'));
      say('marketing', active('C0004'));
    }
    const bot = window.Cookiebot && Cookiebot.hasResponse && Cookiebot.consent;
    const jar = !bot && cookie('CookieConsent');
    if (bot || /marketing:/.test(jar)) {
      say('analytics', bot ? !!bot.statistics : /statistics:true/.test(jar));
      say('marketing', bot ? !!bot.marketing : /marketing:true/.test(jar));
    }
    if (tcf) say('marketing', tcf[1] && tcf[3] && tcf[4] ? true : false);
    let mode;
    (Array.isArray(window.dataLayer) ? window.dataLayer : []).forEach((entry) => {
      // gtag pushes its arguments object: ['consent', 'default'|'update', {ad_storage: 'granted'|'denied', …}]
      if (entry && entry[0] === 'consent' && entry[2] && entry[2].ad_storage) mode = entry[2];
    });
    if (mode) {
      say('marketing', mode.ad_storage === 'granted');
      if (mode.analytics_storage) say('analytics', mode.analytics_storage === 'granted');
    }
    if (explicit !== undefined) say('marketing', !!explicit);
    if (navigator.globalPrivacyControl) say('marketing', false);
    return any ? consent : null;
  };
  const watchTcf = () => {
    if (window.__tcfapi && !watchTcf.done) {
      watchTcf.done = true;
      window.__tcfapi('addEventListener', 2, safely((data, ok) => {
        if (ok && data.gdprApplies !== false && /^(tcloaded|useractioncomplete)$/.test(data.eventStatus)) {
          tcf = data.purpose.consents;
          consentChanged();
        }
      }));
    }
  };
  const consentChanged = safely(() => {
    watchTcf();
    const consent = signals();
    if (consent && consent.marketing === false) {
      queue.length = 0;
      store(null);
      traits = {};
      if (wasGranted) {
        wasGranted = false;
        // Withdrawal: the edge expires the cookies and purges what still waits.
        post('/v1/c', JSON.stringify({ consent, writeKey: key }), () => {});
      }
    } else if (consent && consent.marketing) {
      wasGranted = true;
      schedule(0);
    }
    return consent;
  });

  // ---- events
  const context = () => ({
    page: { url: location.href, path: location.pathname, referrer: document.referrer, title: document.title, search: location.search },
    locale: navigator.language, ttclid: clickId || undefined, library: { name: 'ttgateway', version: '1' },
  });
  const add = (type, name, properties, options, pixel) => {
    const event = {
      type, event: name, properties: properties || {}, messageId: String((options && options.event_id) || id()),
      timestamp: new Date().toISOString(), context: context(),
    };
    if (pixel) event.context.pixel = { code: pixel };
    if (queue.length >= MAX_QUEUE) queue.shift();
    queue.push(event);
    emit(type, event);
    log(type, name, event);
    schedule(queue.length >= BATCH ? 0 : LINGER_MS);
    return event;
  };
  const page = (properties, options, pixel) => {
    pageSeen = true;
    lastPage = location.pathname + location.search;
    return add('page', 'page', properties, options, pixel);
  };
  const sha256 = (text) => crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
    .then((digest) => Array.from(new Uint8Array(digest), (byte) => (byte + 256).toString(16).slice(1)).join(''));
  const identify = (who) => {
    const raw = Object.assign({}, who);
    if (raw.external_id || raw.userId) userId = String(raw.external_id || raw.userId);
    delete raw.external_id;
    delete raw.userId;
    [['sha256_email', 'email'], ['sha256_phone_number', 'phone_number']].forEach(([from, to]) => {
      if (raw[from]) { raw[to] = raw[from]; delete raw[from]; }
    });
    const hash = (field, text) => sha256(text).then((digest) => { raw[field] = digest; }, () => {});
    // Order is kept: what is tracked after identify waits for its digests.
    hashing = hashing.then(() => {
      const work = [];
      if (window.crypto && crypto.subtle) {
        const email = typeof raw.email === 'string' && raw.email.trim().toLowerCase();
        const phone = typeof raw.phone_number === 'string' && raw.phone_number.trim();
        if (email && email.includes('@')) work.push(hash('email', email));
        // Without a country code only the edge, which knows the region, can normalise: it goes over TLS as it is.
        if (phone && phone[0] === '+') work.push(hash('phone_number', '+' + phone.replace(/\D/g, '')));
      }
      return Promise.all(work);
    }).then(() => {
      Object.assign(traits, raw);
      emit('identify', raw);
    });
  };

  // ---- delivery: one request at a time, so that order holds and the first answer's cookies are made once
  const envelope = (events) => JSON.stringify({ batch: events, sentAt: new Date().toISOString(), writeKey: key });
  const dressed = (event, consent) => {
    const out = Object.assign({}, event, { traits: Object.assign({}, traits), userId: userId || undefined });
    out.context = Object.assign({}, event.context, { consent, gpc: navigator.globalPrivacyControl || undefined });
    return out;
  };
  const post = (path, body, done) => {
    if (!window.fetch) return done(0);
    fetch(endpoint + path, {
      method: 'POST', body, keepalive: body.length < MAX_BYTES, credentials: cookies ? 'same-origin' : 'omit',
      headers: { 'Content-Type': 'text/plain;charset=UTF-8' },
    }).then((answer) => done(answer.status, answer.headers.get('Retry-After')), () => done(0));
  };
  const schedule = (delay) => {
    if (busy || (timer && delay)) return;
    clearTimeout(timer);
    timer = setTimeout(safely(flush), delay);
  };
  const take = (consent) => {
    let size = 0, count = 0;
    while (count < queue.length && count < BATCH) {
      size += JSON.stringify(dressed(queue[count], consent)).length * 1.1;
      if (count && size > MAX_BYTES) break;
      count++;
    }
    return queue.slice(0, count);
  };
  const flush = () => {
    timer = 0;
    if (busy || !queue.length || document.prerendering) return;
    const consent = consentChanged();
    if (!consent || !consent.marketing) return queue.length && setTimeout(safely(() => schedule(LINGER_MS)), LINGER_MS);
    busy = true;
    clearTimeout(timer);
    timer = 0;
    hashing.then(() => {
      const events = take(consent);
      post('/e', envelope(events.map((event) => dressed(event, consent))), safely((status, retryAfter) => {
        busy = false;
        if (!status || status === 429 || status >= 500) {
          if (++tries > MAX_TRIES) { tries = 0; queue.splice(0, events.length); emit('error', { status, events }); }
          // Full jitter, so that a thousand tabs do not come back in one second.
          return schedule(Math.max(Math.random() * Math.min(30000, 500 * 2 ** tries), (+retryAfter || 0) * 1000));
        }
        tries = 0;
        // A withdrawal may have emptied the queue meanwhile: remove only what was sent.
        events.forEach((event) => { const at = queue.indexOf(event); if (at >= 0) queue.splice(at, 1); });
        emit(status < 300 ? 'sent' : 'error', { status, events });
        if (queue.length) schedule(queue.length >= BATCH ? 0 : LINGER_MS);
      }));
    }).catch(() => { busy = false; });
  };
  const hidden = safely(() => {
    const consent = consentChanged();
    if (!consent || !consent.marketing) return;
    // What a request in flight carries stays queued; the same event_id makes a second delivery harmless.
    let sent = 0;
    while (navigator.sendBeacon && !busy && queue.length && sent < MAX_BYTES) {
      const events = take(consent);
      const body = envelope(events.map((event) => dressed(event, consent)));
      if (sent + body.length > MAX_BYTES || !navigator.sendBeacon(endpoint + '/e', body)) break;
      sent += body.length;
      queue.splice(0, events.length);
    }
    store({ queue: queue.slice(0, 200), traits: hashedOnly(), userId: '', clickId });
  });
  const hashedOnly = () => {
    const kept = {};
    Object.keys(traits).forEach((name) => { if (/^[0-9a-f]{64}$/.test(traits[name])) kept[name] = traits[name]; });
    return kept;
  };

  // ---- the page's handles
  const on = (name, listener) => { (listeners[name] = listeners[name] || []).push(listener); };
  const off = (name, listener) => { listeners[name] = (listeners[name] || []).filter((other) => other !== listener && other.of !== listener); };
  const consentTo = (value) => () => { explicit = value; consentChanged(); };
  const handles = (pixel) => ({
    page: (properties, options) => page(properties, options, pixel),
    track: (name, properties, options) => add('track', name, properties, options, pixel),
    identify,
    instance: (code) => guarded(handles(code)),
    ready: (callback) => setTimeout(safely(callback), 0),
    on, off,
    once: (name, listener) => {
      const wrapper = (value) => { off(name, wrapper); listener(value); };
      wrapper.of = listener;
      on(name, wrapper);
    },
    enableCookie: () => { cookies = true; },
    disableCookie: () => { cookies = false; },
    holdConsent: consentTo(undefined), grantConsent: consentTo(1), revokeConsent: consentTo(0),
    debug: (enabled) => { logging = enabled !== false; return { queue: queue.slice(), consent: signals(), endpoint, mode }; },
  });
  const guarded = (api) => {
    Object.keys(api).forEach((name) => { api[name] = safely(api[name]); });
    return api;
  };
  const api = guarded(handles());
  api.firstParty = true;
  window._df = window._df && window._df.track ? window._df : guarded({
    page: (name, properties) => page(Object.assign({}, typeof name === 'string' ? { name } : name, properties)),
    track: (name, properties, options) => add('track', name, properties, options),
    identify: (user, more) => identify(Object.assign({ userId: user }, more)),
    group: (group, more) => add('group', 'group', Object.assign({ groupId: group }, more)),
  });

  // ---- beside TikTok's own pixel: both get one event_id; its queue is read, never consumed
  const pixelThere = !!stub && (stub._i || (Array.isArray(stub) && stub.some((call) => call && call[0] === 'load'))
    || !!document.querySelector('script[src*="/pixel/events.js"]'));
  const mode = attribute('mode', pixelThere ? 'beside' : 'replace');
  const withId = (method, parameters) => {
    const at = method === 'track' ? 2 : 1;
    while (parameters.length < at) parameters.push(method === 'track' && !parameters.length ? '' : {});
    parameters[at] = Object.assign({}, parameters[at]);
    if (!parameters[at].event_id) parameters[at].event_id = id();
    return parameters;
  };
  const wrap = (pixel, code) => METHODS.forEach((method) => {
    if (/^(on|off|once|ready|debug|instance)$/.test(method)) return;
    let original = pixel[method];
    const wrapper = function () {
      const parameters = Array.from(arguments);
      const named = safely(() => {
        if (method === 'track') withId(method, parameters);
        api[method].apply(api, parameters);
      });
      named();
      return original && original.apply(pixel, parameters);
    };
    // The pixel's library puts its own functions in place of its stub's when it arrives: ours stays in front.
    Object.defineProperty(pixel, method, { configurable: true, enumerable: true, get: () => wrapper, set: (value) => { original = value; } });
  });
  const start = safely(() => {
    const queued = Array.isArray(stub) ? stub.slice() : [];
    if (mode === 'beside' && stub) {
      queued.forEach((call) => {
        if (!call || !call[0] || !api[call[0]] || /^(instance|ready|on|off|once|debug)$/.test(call[0])) return;
        const parameters = Array.from(call).slice(1);
        if (call[0] === 'track') {
          withId('track', parameters);
          parameters.forEach((value, n) => { call[n + 1] = value; });
        }
        api[call[0]].apply(api, parameters);
      });
      wrap(stub);
      stub.firstParty = true;
    } else {
      window[globalName] = api;
      queued.forEach((call) => call && api[call[0]] && api[call[0]].apply(api, Array.from(call).slice(1)));
    }
    clickId = (/[?&]ttclid=([A-Za-z0-9._~-]{1,2048})(?:&|#|$)/.exec(location.href) || [])[1] || '';
    const kept = store();
    if (kept) {
      queue.unshift.apply(queue, kept.queue || []);
      traits = Object.assign({}, kept.traits, traits);
      clickId = clickId || kept.clickId || '';
      store(null);
    }
    if (attribute('page', 'on') !== 'off' && !pageSeen) page();
    if (attribute('spa', 'on') !== 'off') {
      const moved = () => setTimeout(safely(() => { if (location.pathname + location.search !== lastPage) page(); }), 0);
      ['pushState', 'replaceState'].forEach((name) => {
        const original = history[name];
        history[name] = function () {
          const result = original.apply(this, arguments);
          moved();
          return result;
        };
      });
      addEventListener('popstate', moved);
    }
    ['OneTrustGroupsUpdated', 'consent.onetrust', 'CookiebotOnAccept', 'CookiebotOnDecline'].forEach((name) => addEventListener(name, consentChanged));
    document.addEventListener('visibilitychange', () => { if (document.visibilityState === 'hidden') hidden(); });
    addEventListener('pagehide', hidden);
    addEventListener('online', () => schedule(0));
    consentChanged();
    // CMPs without an event of their own (a consent-mode push, a cookie) are noticed within a second while something waits.
    if (queue.length) schedule(LINGER_MS);
  });
  if (document.prerendering) document.addEventListener('prerenderingchange', start, { once: true });
  else start();
})(window, document);
