// One integration: its form (new or not), its test and verification, its YAML.
import { all, get, id, post, read, replace } from './api.js';
import { $, h, icon, put } from './dom.js';
import { duration, label, left, sentence } from './format.js';
import { banner, broken, button, code, confirm, copyButton, failed, guard, mayEdit, menu, toast } from './ui.js';
import { check, choices, field, place, prose, select } from './forms.js';
import { duplicate, enable, justAdded, own, remember, removeEntry, slug, spelt, standing, tabs, testCode, where } from './entries.js';
import { verify } from './verify.js';
import { part, readOnly, session, settings } from './shell.js';

const CONSENT = { marketing: 'What TikTok needs; falls back to advertising where a site only knows that.', advertising: 'A category of its own on some sites.', analytics: 'Only if your policy ties it to TikTok as well.', functional: 'Rarely needed.' };
const VENDORS = [['tiktok-events-api', 'TikTok Events API', 'The newer entry: Retail, Travel, Automotive, B2B / SaaS.'], ['tiktok', 'TikTok', 'The older entry: Retail, Travel, Automotive.']];
const PRESETS = [['retail', 'Retail', 'Products, cart, checkout, order.'], ['travel', 'Travel', 'Listings, bookings, destinations.'], ['automotive', 'Automotive', 'Vehicles, test drives, dealers.'], ['b2b_saas', 'B2B / SaaS', 'Sign-ups, demos, trials, subscriptions.']];
const fresh = { vendor: 'tiktok-events-api', preset: 'retail', consent: ['marketing'], pipelines: [], enabled: true, default_action: 'drop', send: {}, limited_data_use: false };
const name = location.pathname === '/integrations/new' ? '' : part(1);
let etag = '';
let entry = fresh;
let catalogue = {};
let pipelines = [];
let lifetime = 3600;
let added = false;

/** Pipelines that are all declared in the configuration file cannot be ticked: then the way is another one. */
const allDeclared = () => pipelines.length > 0 && pipelines.every((each) => each.declared);
const declaredWay = () => ['Every pipeline is declared in the configuration file: name the integration there, or ', h('a', { href: `/pipelines/new?from=${encodeURIComponent(pipelines[0].id)}` }, 'duplicate a pipeline'), ' and tick it in the copy.'];
const helpOf = (key) => prose((catalogue.fields?.integration || []).find((each) => each.name === key)?.help || '');
const section = (number, title, help, ...inside) => h('section', { class: 'card stack' }, h('div', {}, h('h2', {}, number && h('span', { class: 'section-no', 'aria-hidden': 'true' }, number), title), help && h('p', { class: 'help' }, help)), inside);

const guide = () => h('aside', { class: 'card sticky stack', 'aria-labelledby': 'h-guide' }, h('h2', { id: 'h-guide' }, 'Where to find these'),
  h('div', { class: 'stack tight small' }, h('h3', {}, 'You need'), h('ul', { class: 'ticks' }, ['A TikTok for Business / Ads Manager account with admin or Events Manager permission', 'A TikTok pixel (web event source)', 'An Events API access token for that pixel'].map((text) => h('li', {}, icon('check'), h('span', {}, text))))),
  h('div', { class: 'stack tight small' }, h('h3', {}, 'Pixel code'), h('p', {}, 'Ads Manager → Assets → Events → Web Events → your pixel. The code, like CXXXXXXXXXXXXXXXXX, is on its overview page. No pixel yet: Set up web events.'), h('h3', {}, 'Access token'), h('p', {}, 'The pixel’s Settings → Events API → Generate access token. It is shown once: copy it at once.'), h('h3', {}, 'Test event code'), h('p', {}, 'The pixel’s Test event tab, like TEST1234. Optional; remove it after testing.')));

const form = () => {
  const locked = Boolean(entry.declared) || !mayEdit();
  const isNew = !name;
  const allowed = (vendor) => (catalogue.vendors || []).find((each) => each.vendor === vendor)?.presets || (vendor === 'tiktok' ? ['retail', 'travel', 'automotive'] : PRESETS.map(([key]) => key));
  const preset = choices({ name: 'preset', text: 'Preset', value: entry.preset, disabled: locked, required: true, help: 'The industry whose event table applies. Single events can be changed under Field mappings.', choices: PRESETS });
  const fit = (vendor) => { for (const input of preset.root.querySelectorAll('input')) { input.disabled = locked || !allowed(vendor).includes(input.value); if (input.disabled && !locked && input.checked) preset.root.querySelector('input').checked = true; } };
  const vendor = choices({ name: 'vendor', text: 'Catalogue entry', value: entry.vendor, disabled: locked, choices: VENDORS, on: { change: (event) => fit(event.target.value) } });
  fit(entry.vendor);
  const title = field({ name: 'name', text: 'Name', value: entry.name, placeholder: 'TikTok – Shop', required: true, disabled: locked, help: 'For people: shown in lists and alerts.' });
  const key = field({ name: 'id', text: 'Id', value: entry.id, placeholder: 'tiktok-shop', required: true, disabled: locked || !isNew, help: 'Short, for metrics and logs; it cannot be changed later.' });
  let own_ = !isNew;
  key.input.addEventListener('input', () => { own_ = true; });
  title.input.addEventListener('input', () => { if (!own_) key.input.value = slug(title.input.value); });
  const pixel = field({ name: 'pixel_code', text: 'Pixel code', value: entry.pixel_code, placeholder: 'C4ABCDEF1234567890AB', required: true, disabled: locked, help: helpOf('pixel_code') });
  const token = field({ name: 'access_token', text: 'Events API access token', type: 'password', placeholder: entry.has_token ? `•••••••• set${locked ? '' : '; leave empty to keep it'}` : '', required: isNew, disabled: locked, help: ['It is stored for the gateway only and never shown again. ', ...helpOf('access_token')] });
  token.input.autocomplete = 'new-password';
  const test = field({ name: 'test_event_code', text: 'Test event code', value: entry.test_event_code || '', placeholder: 'TEST12345', disabled: locked, help: [lifetime ? `Optional. Set here, it is removed by itself after ${duration(lifetime)}. ` : 'Optional. ', ...helpOf('test_event_code')] });
  const pipes = choices({ name: 'pipelines', text: 'Runs on', many: true, value: entry.pipelines || [], disabled: locked, choices: pipelines.map((each) => [each.id, each.id, each.domains?.length ? each.domains.join(', ') : 'any host', { fixed: each.declared && !locked && (entry.pipelines?.includes(each.id) ? 'declared in the configuration file, which names this integration' : 'declared in the configuration file: name this integration there, or duplicate the pipeline') }]) });
  const categories = [...new Set([...(catalogue.consent_categories || Object.keys(CONSENT)), ...(entry.consent || [])])];
  const consent = choices({ name: 'consent', text: 'Categories', many: true, value: entry.consent, disabled: locked, choices: categories.map((each) => [each, label(each), CONSENT[each] || '']) });
  const action = select({ name: 'default_action', text: 'Events that no row names', value: entry.default_action, disabled: locked, choices: [['drop', 'Leave out'], ['passthrough', 'Send as custom events']], help: helpOf('default_action') });
  const once = field({ name: 'dedupe_purchases', text: 'Send each order once within', value: spelt(entry.dedupe_purchases), placeholder: '30d', disabled: locked, help: helpOf('dedupe_purchases') });
  const limited = select({ name: 'limited_data_use', text: 'Limited data use', value: String(entry.limited_data_use), disabled: locked, choices: [['false', 'Never'], ['gpc', 'Where the visitor sends Global Privacy Control'], ['true', 'Always']], help: helpOf('limited_data_use') });
  const sends = [['email', 'Hashed e-mail'], ['phone', 'Hashed phone'], ['ip', 'IP address'], ['user_agent', 'User agent']].map(([part_, text]) => check({ name: `send.${part_}`, text, checked: entry.send?.[part_] !== false, disabled: locked }));
  const query = select({ name: 'send.page_query', text: 'Query of page URLs', value: entry.send?.page_query || 'keep', disabled: locked, choices: [['keep', 'Keep (personal data is redacted)'], ['drop', 'Cut off']] });
  const fields = [vendor, title, key, preset, pixel, token, test, pipes, consent, action, once, limited, query];
  const summary = h('div');
  const read_ = () => {
    const body = { ...own(entry), vendor: vendor.read(), name: title.read(), id: key.read(), preset: preset.read(), pixel_code: pixel.read(), test_event_code: test.read() || null, pipelines: pipes.read(), consent: consent.read(), default_action: action.read(), dedupe_purchases: once.read() || null,
      limited_data_use: { true: true, false: false, gpc: 'gpc' }[limited.read()], send: { ...Object.fromEntries(sends.map((each) => [each.name.slice(5), each.read()])), page_query: query.read() } };
    if (token.read()) body.access_token = token.read();
    return body;
  };
  const missing = () => [[title, 'Give it a name.'], [key, 'Give it an id.'], [pixel, 'The pixel’s code is required.'], [token, isNew ? 'The access token is required.' : '']].filter(([each, words]) => words && !each.read());
  const submit = guard(async (event) => {
    event.preventDefault();
    put(summary);
    const wanting = missing();
    for (const each of fields) each.error('');
    if (wanting.length) {
      for (const [each, words] of wanting) each.error(words);
      wanting[0][0].input.focus();
      return;
    }
    const body = read_();
    if (!body.consent.length && !await confirm('No consent needed?', 'Without a category, events are delivered whatever the visitor chose. Do that only where the law and your policy allow it.', { action: 'Save without consent', danger: true })) return;
    try {
      if (isNew) {
        const made = await post('integrations', body);
        remember('integrations', body.id);
        location.assign(where(made?.id || body.id, '#verify'));
      } else {
        await replace(`integrations/${id(name)}`, body, etag);
        toast('Saved and in force');
        await load();
        $('content').querySelector('[type=submit]')?.focus();
      }
    } catch (error) {
      place(error, fields, summary, { mine: guard(async () => {
        etag = (await read(`integrations/${id(name)}`)).etag;
        root.requestSubmit();
      }) });
    }
  });
  const root = h('form', { class: 'cols', novalidate: true, on: { submit } },
    h('div', { class: 'stack' }, summary,
      section(isNew && '1', 'Entry and name', '', vendor.root, h('div', { class: 'grid two' }, title.root, key.root)),
      section(isNew && '2', 'Preset', '', preset.root),
      section(isNew && '3', 'Credentials', '', h('div', { class: 'grid two' }, pixel.root, token.root), h('div', { class: 'grid two' }, test.root)),
      section(isNew && '4', 'Pipelines', 'Sites and apps whose events it gets.', pipelines.length ? [pipes.root, allDeclared() && !locked && h('p', { class: 'help' }, ...declaredWay())] : h('p', { class: 'soft' }, 'There is no pipeline yet; add one afterwards, and tick this integration there.')),
      section(isNew && '5', 'Consent', 'Events are delivered only where all of these are granted. Marketing is the usual choice.', consent.root),
      h('details', { class: 'card' }, h('summary', {}, 'More settings'), h('div', { class: 'stack' }, h('div', { class: 'grid two' }, action.root, limited.root), h('div', { class: 'grid two' }, once.root, query.root), h('fieldset', { class: 'field' }, h('legend', {}, 'Parts of identity that are sent'), sends.map((each) => each.root)))),
      !locked && h('div', { class: 'form-foot' }, h('a', { class: 'btn', href: '/integrations' }, 'Cancel'), button(isNew ? 'Add integration' : 'Save', { kind: 'primary', type: 'submit', edit: true }))),
    guide());
  return root;
};

const notices = () => {
  const lane = entry.lane || {};
  const said = [];
  if (entry.declared) said.push(banner('info', 'Declared in the configuration file', mayEdit() ? 'It is read-only here. Duplicate it to edit a copy, or change the file; the YAML tab has it to copy.' : 'It is changed there and taken over without a restart; the YAML tab has it to copy.', mayEdit() && button('Duplicate to edit', { kind: 'small', edit: true, on: guard(() => duplicate(entry)) })));
  else if (readOnly()) said.push(readOnly());
  if (entry.fault) said.push(banner('bad', 'It has a fault', [entry.fault, '. Correct it and save; or roll back under Revisions.']));
  if (entry.test_event_code) said.push(testCode(entry, load));
  if (lane.state === 'suspended' || lane.state === 'backing_off') said.push(banner(lane.state === 'suspended' ? 'bad' : 'warn', `Delivery is ${lane.state === 'suspended' ? 'suspended' : 'backing off'}${lane.code ? ` – ${lane.code}` : ''}`, [sentence(lane.message), lane.message && ' ', lane.cure, lane.next_try ? [' Next try ', left(lane.next_try), '.'] : '']));
  const wanting = [
    entry.has_token === false && [entry.declared ? 'Name its access token in the file' : 'Enter its access token', 'until then its events queue up and wait.'],
    !entry.pipelines?.length && (!entry.declared && allDeclared() ? ['Name it in a pipeline', declaredWay()] : [entry.declared ? 'Name it in a pipeline' : 'Tick a pipeline', 'whose events it shall get.']),
    entry.enabled === false && ['Enable it', 'nothing new is accepted for it before.'],
  ].filter(Boolean);
  if (wanting.length && (added || entry.has_token === false || !entry.pipelines?.length)) {
    said.push(banner(added ? 'good' : 'warn', added ? 'Added. Before events are delivered:' : 'It does not deliver', h('ol', { class: 'todo' }, wanting.map(([what, why]) => h('li', {}, h('strong', {}, what), ' – ', why))),
      entry.enabled === false && entry.has_token && !entry.declared && button('Enable', { kind: 'small', edit: true, on: guard(() => enable(entry).then((done) => done && load())) }), location.hash && !entry.declared && h('a', { class: 'btn small', href: where(name, '#') }, 'Open its settings')));
  } else if (added) {
    said.push(banner('good', 'Added and in force', 'Now send a test event, then paste the tag of its pipeline into your site.', h('a', { class: 'btn small', href: `/pipelines/${id(entry.pipelines[0])}#tag` }, 'Show the tag')));
  }
  put($('notices'), said);
};
const head = () => {
  put($('title'), entry.name || entry.id);
  put($('lead'), h('span', { class: 'row' }, h('code', {}, entry.pixel_code), label(entry.preset), standing(entry)));
  document.title = `${entry.name || entry.id} · ttgateway`;
  put($('actions'), h('a', { class: 'btn', href: `/live?integration=${encodeURIComponent(name)}` }, 'Live events'), mayEdit() && menu('More actions', [
    !entry.declared && [entry.enabled === false ? 'Enable' : 'Disable', entry.enabled === false ? 'play' : 'x', () => enable(entry).then((done) => done && load()), { edit: true }],
    mayEdit() && ['Duplicate', 'copy', () => duplicate(entry), { edit: true }],
    !entry.declared && ['Remove', 'trash', () => removeEntry(entry).then((done) => done && location.assign('/integrations')), { edit: true, danger: true }],
  ]));
};
const yaml = async () => {
  const text = await get(`integrations/${id(name)}/yaml`);
  const written = typeof text === 'string' ? text : text.yaml;
  return h('section', { class: 'card stack' }, h('div', { class: 'row apart' }, h('h2', {}, 'For the configuration file'), copyButton(written)), h('p', { class: 'soft' }, 'Below integrations: – the token stands as a reference to a file or variable, never as itself.'), code(written, { name: 'YAML' }));
};
let stop = () => {};
const show = async () => {
  stop();
  stop = () => {};
  const tab = { '#verify': 'verify', '#yaml': 'yaml' }[location.hash] || 'settings';
  if (name) tabs($('tabs'), name, tab);
  try {
    if (tab === 'verify') {
      const made = verify(entry, { changed: () => load(true), reload: load });
      stop = made.stop;
      put($('content'), made.root);
    } else put($('content'), tab === 'yaml' ? await yaml() : form());
  } catch (error) {
    put($('content'), h('div', { class: 'card' }, broken(error, show)));
  }
};
const load = async (quiet = false) => {
  try {
    const [found] = await Promise.all([name ? read(`integrations/${id(name)}`) : null, session.catch(() => {})]);
    if (found) {
      etag = found.etag;
      entry = found.body;
      head();
      notices();
    }
    if (!quiet) await show();
  } catch (error) {
    if (error.status === 404) put($('content'), h('div', { class: 'card' }, broken({ message: 'There is no integration of this id.' })));
    else put($('content'), h('div', { class: 'card' }, broken(error, load)));
  }
};
added = Boolean(name) && justAdded('integrations', name);
Promise.allSettled([get('catalogue').then((found) => { catalogue = found; }), all('pipelines').then((found) => { pipelines = found; }), settings().then((found) => { lifetime = found.settings?.catalog?.test_code_lifetime ?? lifetime; })]).then(() => load()).catch(failed);
addEventListener('hashchange', () => { show(); if (entry.id) notices(); });
