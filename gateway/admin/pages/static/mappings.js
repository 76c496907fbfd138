// Field mappings: the preset's table with overrides beside it, and a preview that follows every key stroke.
import { get, id, post, read, replace } from './api.js';
import { $, h, icon, later, put } from './dom.js';
import { chip, count, label, plural, time } from './format.js';
import { banner, broken, button, confirm, guard, json, mayEdit, toast } from './ui.js';
import { duplicate, tabs } from './entries.js';
import { fieldList, lists, presetTable, showProblems } from './fieldmap.js';
import { outdated } from './forms.js';
import { part, readOnly, session } from './shell.js';

const name = part(1);
const path = `integrations/${id(name)}`;
const EXAMPLE = { type: 'track', event: 'Order Completed', messageId: 'order-1001', traits: { email: 'alice@example.com' }, properties: { order_id: '1001', value: 99.95, currency: 'EUR', products: [{ product_id: '42', name: 'Canvas bag', price: 99.95, quantity: 1 }] }, context: { page: { url: 'https://shop.example.com/thank-you' }, consent: { marketing: true } } };
const EVERY = ' every';
const OTHERS = ' others';
let entry = {};
let etag = '';
let table = {};
let draft = {};
let saved = '';
let catalogue = {};
let recent = [];
let chosen = 'example';
let picked = false; // by hand: then it stays, whatever is opened
let open = '';
let pasted = JSON.stringify(EXAMPLE, null, 2);

const plain = (value) => JSON.parse(JSON.stringify(value ?? null));
const locked = () => Boolean(entry.declared) || !mayEdit();
const same = (one, other) => String(one).toLowerCase().replace(/[^a-z0-9]/g, '') === String(other).toLowerCase().replace(/[^a-z0-9]/g, '');
const keyOf = (source) => Object.keys(draft.events).find((each) => same(each, source)) || source;
const cleaned = () => {
  const found = plain(draft);
  for (const [key, override] of Object.entries(found.events)) {
    if (!override.vendor_event_name) delete override.vendor_event_name;
    if (!override.mappings?.length) delete override.mappings;
    if (override.enabled !== false) delete override.enabled;
    if (!Object.keys(override).length && (table.rows || []).some((row) => row.preset_event && same(row.source, key))) delete found.events[key];
  }
  for (const list of [...Object.values(found.events), found.global, found.defaults]) for (const mapping of list?.mappings || []) for (const [key, value] of Object.entries(mapping)) if (value === null || value === '' || (key === 'value_map' && !Object.keys(value).length)) delete mapping[key];
  return found;
};
const dirty = () => JSON.stringify(cleaned()) !== saved;
const mark = () => {
  const changed = dirty();
  for (const each of $('actions').querySelectorAll('[data-when-changed]')) each.disabled = !changed || locked();
};
addEventListener('beforeunload', (event) => { if (dirty()) event.preventDefault(); });

// -- preview
const state = (text) => put($('preview-state'), text);
let asked = 0;
const preview = async () => {
  const number = asked += 1;
  const body = locked() ? {} : { ...cleaned(), default_action: entry.default_action };
  if (chosen === 'example' || chosen === 'paste') {
    try {
      body.event = sealed(chosen === 'paste' ? JSON.parse(pasted) : example());
    } catch (error) {
      state('');
      put($('preview-result'), banner('warn', 'This is not JSON yet', error.message));
      return;
    }
  } else body.record = chosen;
  state('…');
  try {
    const found = await post(`${path}/mappings/preview`, body);
    if (number !== asked) return;
    state('as it would be sent');
    drawPreview(found);
  } catch (error) {
    if (number !== asked) return;
    state('');
    const rest = showProblems($('editor'), error.problems);
    put($('preview-result'), error.problems.length ? banner('warn', rest.length ? rest.map((each) => `${each.path} ${each.message}`).join(' · ') : 'A field needs a correction', rest.length ? '' : 'See the note beside it.') : banner('bad', 'No preview', error.message));
  }
};
const soon = later(preview, 220);
/** A pasted event as the gateway keeps one: under its own names, and without raw identity, which never gets past the edge. */
const sealed = (event) => {
  if (!event || typeof event !== 'object' || event.wire) return event;
  const { page = {}, ...context } = event.context || {};
  return { wire: 'signal', type: event.type || 'track', name: event.event || event.name || (event.type === 'page' ? 'page' : ''), event_id: String(event.messageId || event.event_id || 'preview'), time: Math.floor(Date.now() / 1000), properties: event.properties || {}, traits: {}, user: event.user || {}, page: event.page || page, context };
};
const example = () => ({ ...EXAMPLE, ...(open && ![EVERY, OTHERS].includes(open) ? (open === 'page' ? { type: 'page', event: undefined } : { event: open }) : {}) });
const drawPreview = (found) => {
  const rest = showProblems($('editor'), found.problems || []);
  const findings = found.findings || [];
  put($('preview-result'), rest.length > 0 && banner('warn', 'Not valid yet', rest.map((each) => `${each.path} ${each.message}`).join(' · ')),
    !found.payload && !found.problems?.length && banner('', `Not sent: ${label(found.reason || found.outcome || 'unmapped')}`, found.refusal || found.detail || 'No row of the table sends this event.'),
    found.payload && json(found.payload, { name: 'payload', before: found.current || undefined }),
    found.payload && found.current && JSON.stringify(found.payload) !== JSON.stringify(found.current) && h('p', { class: 'small soft' }, 'Marked lines differ from what is in force now.'),
    found.payload && h('div', { class: 'stack tight' }, h('h3', {}, 'TikTok’s validation'), h('ul', { class: 'findings' }, findings.length ? findings.map((finding) => h('li', { class: finding.severity === 'error' ? 'bad' : '' }, icon('warn'), h('span', {}, typeof finding === 'string' ? finding : `${finding.path ? `${finding.path}: ` : ''}${finding.message}`))) : h('li', { class: 'good' }, icon('check'), 'Nothing to complain about.'))));
};
/** Previews the latest real event of the row that is open, if there is one. */
const follow = () => {
  if (!picked) {
    const latest = recent.find((row) => same(row.name, open));
    chosen = latest ? String(latest.id) : 'example';
    drawSource();
  }
  if (!picked || chosen === 'example') preview();
};
const drawSource = () => {
  const choice = h('select', { 'aria-label': 'Event to preview', on: { change: (event) => { chosen = event.target.value; picked = true; drawSource(); preview(); } } },
    h('option', { value: 'example', selected: chosen === 'example' }, 'An example event'), h('option', { value: 'paste', selected: chosen === 'paste' }, 'Paste an event …'),
    recent.length > 0 && h('optgroup', { label: 'Really seen' }, recent.map((row) => h('option', { value: String(row.id), selected: chosen === String(row.id) }, `${time(row.at).textContent}  ${row.name || row.event}`))));
  put($('preview-source'), h('div', { class: 'stack tight' }, choice, chosen === 'paste' && h('textarea', { 'aria-label': 'Event as JSON', spellcheck: 'false', value: pasted, on: { input: (event) => { pasted = event.target.value; soon(); } } })));
};

// -- the table
const changed = () => {
  mark();
  soon();
};
const override = (source) => draft.events[keyOf(source)] ||= {};
const panel = (row) => {
  const key = keyOf(row.source);
  const own = draft.events[key] ? override(row.source) : {};
  const touch = (work) => { const target = override(row.source); work(target); Object.assign(own, target); changed(); refreshRow(row); };
  const holder = draft.events[key] || { mappings: [] };
  const preset = h('div');
  const drawPreset = () => put(preset, presetTable(table, { overrides: [...holder.mappings, ...(draft.global.mappings || [])], begin: (target) => fields.begin(target), locked: locked() }));
  const toggled = () => { if (holder.mappings.length && !draft.events[keyOf(row.source)]) draft.events[row.source] = holder; changed(); refreshRow(row); drawPreset(); };
  const fields = fieldList(holder, { path: `events.${key}`, changed: toggled, transforms: catalogue.transforms || [], locked: locked() });
  drawPreset();
  return h('div', { class: 'map-edit', id: `edit-${row.index}` },
    h('div', { class: 'row top' },
      h('div', { class: 'field grow' }, h('label', { for: `vendor-${row.index}` }, 'TikTok event'), h('input', { id: `vendor-${row.index}`, list: 'events', value: own.vendor_event_name || '', placeholder: row.preset_event || 'its own name', disabled: locked(), on: { input: (event) => touch((target) => { target.vendor_event_name = event.target.value.trim() || null; }) } })),
      h('label', { class: 'check' }, h('input', { class: 'switch', type: 'checkbox', checked: own.enabled !== false, disabled: locked(), on: { change: (event) => touch((target) => { target.enabled = event.target.checked; }) } }), h('span', {}, 'Send it'))),
    h('div', { class: 'stack tight' }, h('h3', {}, 'Overrides'), h('p', { class: 'help' }, 'The preset’s fields, below, are found by themselves; add only what differs.'), fields),
    h('div', { class: 'stack tight' }, h('h3', {}, 'Where the preset finds each field'), preset),
    !row.preset_event && !locked() && h('div', {}, button('Remove this event', { kind: 'small danger', on: () => { delete draft.events[keyOf(row.source)]; open = ''; changed(); draw(); } })));
};
const special = (key, title, text, holder, where) => {
  const expanded = open === key;
  return [h('button', { class: 'map-row', type: 'button', 'aria-expanded': String(expanded), on: { click: () => { open = expanded ? '' : key; draw(); } } }, h('span', {}, title), h('span', {}), h('span', { class: 'soft small' }, text), h('span', { class: 'row' }, holder.mappings?.length ? chip(plural(holder.mappings.length, 'field'), 'info') : null, icon('down'))),
    expanded && h('div', { class: 'map-edit' }, where === 'defaults' && h('div', { class: 'field' }, h('label', { for: 'action' }, 'What happens to them'), h('select', { id: 'action', disabled: locked(), on: { change: (event) => { holder.action = event.target.value || null; changed(); } } }, [['', `As in the settings (${entry.default_action === 'passthrough' ? 'sent as custom events' : 'left out'})`], ['drop', 'Left out'], ['passthrough', 'Sent as custom events']].map(([value, text_]) => h('option', { value, selected: (holder.action || '') === value }, text_)))), fieldList(holder, { path: where, changed, transforms: catalogue.transforms || [], locked: locked() }))];
};
const rowHead = (row) => {
  const own = draft.events[keyOf(row.source)];
  const target = own?.vendor_event_name || row.preset_event || row.source;
  const off = own?.enabled === false;
  return [h('span', { class: 'name' }, row.source), icon('right'), h('span', { class: 'name' }, off ? h('s', { class: 'soft' }, target) : target), h('span', { class: 'row' }, off ? chip('not sent', 'warn') : own && (own.vendor_event_name || own.mappings?.length) ? chip('override', 'info') : null, row.seen ? h('span', { class: 'small soft num', title: 'seen lately' }, count(row.seen)) : null, icon('down'))];
};
const refreshRow = (row) => put($(`row-${row.index}`), rowHead(row));
const draw = () => {
  const rows = [...(table.rows || [])];
  for (const key of Object.keys(draft.events)) if (!rows.some((row) => same(row.source, key))) rows.push({ source: key, preset_event: '' });
  rows.forEach((row, index) => { row.index = index; });
  const body = rows.flatMap((row) => [h('button', { class: 'map-row', type: 'button', id: `row-${row.index}`, 'aria-expanded': String(open === row.source), on: { click: () => { open = open === row.source ? '' : row.source; draw(); $(`row-${row.index}`)?.focus(); follow(); } } }, rowHead(row)), open === row.source && panel(row)]);
  put($('editor'), h('section', { class: 'card flush', 'aria-labelledby': 'h-events' }, h('div', { class: 'card-head' }, h('h2', { id: 'h-events' }, `Events – preset ${label(entry.preset)}`), h('p', {}, 'your event → TikTok’s')), body, !locked() && h('form', { class: 'map-edit', on: { submit: addEvent } }, h('div', { class: 'row' }, h('input', { id: 'new-event', class: 'grow', 'aria-label': 'Another event', placeholder: 'Another event, such as Newsletter Joined', list: 'unmapped' }), button('Add event', { type: 'submit', sign: 'plus' })))),
    h('section', { class: 'card flush', 'aria-label': 'More mappings' }, special(EVERY, 'Every event', 'fields for all events', draft.global, 'global'), special(OTHERS, 'Events that no row names', draft.defaults.action ? label(draft.defaults.action) : 'as in the settings', draft.defaults, 'defaults')));
  mark();
};
const addEvent = (event) => {
  event.preventDefault();
  const source = $('new-event').value.trim();
  if (!source) return;
  if (![...(table.rows || []).map((row) => row.source), ...Object.keys(draft.events)].some((each) => same(each, source))) draft.events[source] = { mappings: [] };
  open = [...(table.rows || []).map((row) => row.source), ...Object.keys(draft.events)].find((each) => same(each, source));
  changed();
  draw();
  document.querySelector('.map-row[aria-expanded="true"]')?.focus();
};
const save = guard(async () => {
  try {
    await replace(`${path}/mappings`, cleaned(), etag);
    toast('Saved: what waits in the queue goes by it as well');
    await load();
  } catch (error) {
    const rest = showProblems($('editor'), error.problems || []);
    put($('notices'), error.status === 412 ? outdated(guard(async () => {
      etag = (await read(`${path}/mappings`)).etag;
      await save();
    })) : h('div', { role: 'alert', tabindex: '-1' }, banner('bad', 'Not saved', rest.map((each) => [`${each.path}: ${each.message}`, each.hint].filter(Boolean).join(' – ')).join(' · ') || (error.problems?.length ? 'See the note beside the field.' : error.message))));
    $('notices').firstElementChild.focus();
  }
});
const load = async () => {
  try {
    const [integration, mappings] = await Promise.all([get(path), read(`${path}/mappings`), session.catch(() => {})]);
    entry = integration;
    etag = mappings.etag;
    table = mappings.body;
    draft = { events: {}, global: plain(table.global) || {}, defaults: plain(table.defaults) || {} };
    for (const row of table.rows) if (row.override) draft.events[row.override_key || row.source] = plain(row.override);
    Object.assign(draft.events, plain(table.events) || {});
    draft.global.mappings ||= [];
    draft.defaults.mappings ||= [];
    saved = JSON.stringify(cleaned());
    put($('title'), entry.name || name);
    document.title = `Field mappings of ${entry.name || name} · ttgateway`;
    tabs($('tabs'), name, 'mappings');
    put($('notices'), entry.declared && banner('info', 'Declared in the configuration file', 'Its mappings are read-only here; the preview works all the same.', mayEdit() && button('Duplicate to edit', { kind: 'small', edit: true, on: guard(() => duplicate(entry)) })) || readOnly());
    put($('actions'), !locked() && [button('Discard', { on: guard(async () => { if (await confirm('Discard your changes?', 'The mappings in force stay as they are.', { action: 'Discard', danger: true })) await load(); }) }), button('Save mappings', { kind: 'primary', edit: true, on: save })]);
    for (const each of $('actions').querySelectorAll('button')) each.dataset.whenChanged = '';
    lists((table.sources || []).map((each) => [each.path, each.example ? `e.g. ${each.example}` : '']), (catalogue.targets || []).map((each) => [typeof each === 'string' ? each : each.path]), (catalogue.events || []).map((each) => [each]));
    draw();
    drawSource();
    preview();
  } catch (error) {
    put($('editor'), h('div', { class: 'card' }, broken(error, load)));
  }
};
Promise.allSettled([get('catalogue').then((found) => { catalogue = found; }), get('live/recent', { integration: name, limit: 100 }).then((found) => { recent = (found.items || []).filter((row) => row.outcome !== 'filtered'); })]).then(load);
