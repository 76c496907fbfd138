// One pipeline: its settings and the tag to paste.
import { all, get, id, post, read, remove, replace } from './api.js';
import { $, h, put } from './dom.js';
import { count, short } from './format.js';
import { banner, broken, button, code, confirm, copyButton, guard, mayEdit, menu, toast } from './ui.js';
import { choices, field, place, prose, select, texts } from './forms.js';
import { consentWarning } from './pipelines.js';
import { justAdded, remember, slug } from './entries.js';
import { part, readOnly, session } from './shell.js';

const FIELDS = ['id', 'key', 'domains', 'integrations', 'default_region', 'rate_limit', 'bots', 'server_consent', 'labels'];
const random = () => [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => (byte % 36).toString(36)).join('');
const name = location.pathname === '/pipelines/new' ? '' : part(1);
const copied = new URLSearchParams(location.search).get('from');
let entry = { domains: [], integrations: [], default_region: '', rate_limit: 1000, bots: 'drop', server_consent: 'required' };
let etag = '';
let catalogue = {};
let integrations = [];
const added = Boolean(name) && justAdded('pipelines', name);

const mine = () => Object.fromEntries([...FIELDS.filter((each) => entry[each] !== undefined).map((each) => [each, entry[each]]), ...(entry.has_secret ? [['secret', '${file:/path/to/secret}']] : [])]);
const helpOf = (key) => prose((catalogue.fields?.pipeline || []).find((each) => each.name === key)?.help || '');
const form = () => {
  const locked = Boolean(entry.declared) || !mayEdit();
  const isNew = !name;
  const key = field({ name: 'id', text: 'Id', value: entry.id, placeholder: 'shop', required: true, disabled: locked || !isNew, help: 'Short, for metrics and logs; it cannot be changed later.' });
  const public_ = field({ name: 'key', text: 'Key', value: entry.key || (isNew ? `dk_live_${random()}` : ''), required: true, disabled: locked, help: helpOf('key') });
  const domains = texts({ name: 'domains', text: 'Domains', value: entry.domains, placeholder: 'shop.example.com, *.example.com', disabled: locked, help: helpOf('domains') });
  const targets = choices({ name: 'integrations', text: 'Integrations', many: true, value: entry.integrations || [], disabled: locked, help: 'They get this pipeline’s events.', choices: integrations.map((each) => [each.id, each.name || each.id, each.pixel_code]) });
  const rate = field({ name: 'rate_limit', text: 'Rate limit, events a second', type: 'number', value: entry.rate_limit, disabled: locked, help: helpOf('rate_limit'), read: () => Number(rate.input.value) });
  const bots = select({ name: 'bots', text: 'Bots', value: entry.bots, disabled: locked, choices: [['drop', 'Leave out'], ['flag', 'Flag'], ['allow', 'Let through']], help: helpOf('bots') });
  const region = field({ name: 'default_region', text: 'Country of phone numbers', value: entry.default_region, placeholder: 'GB', disabled: locked, help: helpOf('default_region') });
  const consent = select({ name: 'server_consent', text: 'Consent of server-side events', value: entry.server_consent, disabled: locked, choices: [['required', 'Each call must state it'], ['asserted', 'The call itself asserts it']], help: helpOf('server_consent') });
  const secret = field({ name: 'secret', text: 'Secret of the back end', type: 'password', placeholder: entry.has_secret ? '•••••••• set; leave empty to keep it' : '', disabled: locked, help: helpOf('secret') });
  secret.input.autocomplete = 'new-password';
  const fields = [key, public_, domains, targets, rate, bots, region, consent, secret];
  const summary = h('div');
  key.input.addEventListener('change', () => { key.input.value = slug(key.input.value); });
  const submit = guard(async (event) => {
    event.preventDefault();
    put(summary);
    for (const each of fields) each.error('');
    const wanting = [[key, 'Give it an id.'], [public_, 'Give it a key.']].filter(([each]) => !each.read());
    if (wanting.length) {
      for (const [each, words] of wanting) each.error(words);
      wanting[0][0].input.focus();
      return;
    }
    const body = { ...Object.fromEntries(FIELDS.filter((each) => entry[each] !== undefined).map((each) => [each, entry[each]])), ...Object.fromEntries(fields.filter((each) => each !== secret).map((each) => [each.name, each.read()])) };
    if (secret.read()) body.secret = secret.read();
    try {
      if (isNew) {
        await post('pipelines', body);
        remember('pipelines', body.id);
        location.assign(`/pipelines/${id(body.id)}#tag`);
      } else {
        await replace(`pipelines/${id(name)}`, body, etag);
        toast('Saved and in force');
        await load();
        $('content').querySelector('[type=submit]')?.focus();
      }
    } catch (error) {
      place(error, fields, summary, { mine: guard(async () => {
        etag = (await read(`pipelines/${id(name)}`)).etag;
        root.requestSubmit();
      }) });
    }
  });
  const root = h('form', { class: 'stack', novalidate: true, on: { submit } }, summary,
    h('section', { class: 'card stack' }, h('h2', {}, 'Site'), h('div', { class: 'grid two' }, key.root, public_.root), domains.root),
    h('section', { class: 'card stack' }, integrations.length ? targets.root : [h('h2', {}, 'Integrations'), h('p', { class: 'soft' }, 'There is none yet. ', h('a', { href: '/integrations/new' }, 'Add one'), ' and tick this pipeline there.')]),
    h('section', { class: 'card stack' }, h('h2', {}, 'Rules'), h('div', { class: 'grid two' }, rate.root, bots.root), h('div', { class: 'grid two' }, region.root, consent.root)),
    h('section', { class: 'card stack' }, h('h2', {}, 'Server side'), h('div', { class: 'grid two' }, secret.root)),
    !locked && h('div', { class: 'form-foot' }, h('a', { class: 'btn', href: '/pipelines' }, 'Cancel'), button(isNew ? 'Add pipeline' : 'Save', { kind: 'primary', type: 'submit', edit: true })));
  return root;
};
const tag = () => h('section', { class: 'card stack', id: 'tag', 'aria-labelledby': 'h-tag' }, h('div', { class: 'row apart' }, h('div', {}, h('h2', { id: 'h-tag' }, 'Tag to paste'), h('p', { class: 'help' }, 'Into the head of every page of the site. It is served from the site’s own domain.')), entry.snippet && copyButton(entry.snippet, 'Copy tag')),
  entry.snippet ? code(entry.snippet, { name: 'tag', wrap: true }) : h('p', { class: 'soft' }, 'The gateway gives none for this pipeline.'),
  entry.csp && h('details', {}, h('summary', {}, 'If the site has a Content-Security-Policy'), code(entry.csp, { name: 'CSP lines', wrap: true })),
  entry.noscript && h('details', {}, h('summary', {}, 'For visitors without JavaScript'), code(entry.noscript, { name: 'no-script tag', wrap: true })),
  h('details', {}, h('summary', {}, 'As lines of the configuration file'), h('p', { class: 'help' }, 'Below pipelines: – JSON is YAML as well.'), code(`- ${JSON.stringify(mine(), null, 2).replaceAll('\n', '\n  ')}`, { name: 'YAML' })));

const load = async () => {
  try {
    await session.catch(() => {});
    if (copied && !name) {
      const { id: _, key: __, declared: ___, has_secret: ____, ...rest } = await get(`pipelines/${id(copied)}`);
      entry = rest;
    }
    if (name) {
      const found = await read(`pipelines/${id(name)}`);
      etag = found.etag;
      entry = found.body;
      put($('title'), entry.id);
      document.title = `${entry.id} · ttgateway`;
      put($('lead'), entry.received_1h === undefined ? `At most ${count(entry.rate_limit)} events a second` : `${entry.received_1h === 1 ? '1 event' : `${short(entry.received_1h)} events`} in the last hour, at most ${count(entry.rate_limit)} a second`);
      put($('notices'), entry.declared && banner('info', 'Declared in the configuration file', mayEdit() ? 'It is read-only here. Duplicate it to edit a copy, or change the file; its lines are below.' : 'It is changed there and taken over without a restart; its lines are below.', mayEdit() && h('a', { class: 'btn small', 'data-edit': true, href: `/pipelines/new?from=${encodeURIComponent(name)}` }, 'Duplicate to edit')), !entry.declared && readOnly(), entry.fault && banner('bad', 'It is off', [entry.fault, '. Correct it and save; or roll back under Revisions.']),
        added && banner('good', 'Added and in force', entry.integrations?.length ? 'Paste the tag below into your pages; the first event shows under Live events.' : ['Paste the tag below into your pages, and ', integrations.length ? 'tick an integration that gets its events.' : 'connect the TikTok pixel that gets its events.'], !integrations.length && h('a', { class: 'btn small', href: '/integrations/new' }, 'Add integration')),
        !added && !entry.integrations?.length && banner('warn', 'No integration gets its events', entry.declared ? 'Name one in the configuration file.' : integrations.length ? 'Tick one below.' : 'Add one, and tick this pipeline there.', !integrations.length && mayEdit() && h('a', { class: 'btn small', href: '/integrations/new' }, 'Add integration')), consentWarning(entry));
      put($('actions'), h('a', { class: 'btn', href: `/live?pipeline=${encodeURIComponent(name)}` }, 'Live events'), mayEdit() && menu('More actions', [['Duplicate', 'copy', () => location.assign(`/pipelines/new?from=${encodeURIComponent(name)}`), { edit: true }], !entry.declared && ['Remove', 'trash', async () => {
        if (!await confirm(`Remove ${name}?`, 'Requests with its key are answered 401 from then on. Rolling back under Revisions brings it back, with its secret.', { action: 'Remove', danger: true, typed: name })) return;
        await remove(`pipelines/${id(name)}`, etag);
        location.assign('/pipelines');
      }, { edit: true, danger: true }]]));
    }
    put($('content'), h('div', { class: 'stack' }, name && tag(), form()));
    if (location.hash === '#tag') $('tag')?.scrollIntoView();
  } catch (error) {
    put($('content'), h('div', { class: 'card' }, error.status === 404 ? broken({ message: 'There is no pipeline of this id.' }) : broken(error, load)));
  }
};
Promise.allSettled([get('catalogue').then((found) => { catalogue = found; }), all('integrations').then((found) => { integrations = found; })]).then(load);
