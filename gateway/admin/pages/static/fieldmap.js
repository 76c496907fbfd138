// Editors of the mappings of one event. Law: they change the draft they are given and say that it changed; nothing is sent from here.
import { $, h, icon, put, unique } from './dom.js';
import { button, mayEdit } from './ui.js';

const constant = (text) => {
  const found = text.trim();
  if (found === '') return null;
  if (/^(true|false|null|-?\d+(\.\d+)?)$/.test(found) || /^[[{"]/.test(found)) {
    try {
      return JSON.parse(found);
    } catch {
      return found; // not JSON after all: the text itself
    }
  }
  return found;
};
const shown = (value) => (value === null || value === undefined ? '' : typeof value === 'string' ? value : JSON.stringify(value));
const labelled = (text, control) => {
  control.id ||= unique('map');
  return h('div', { class: 'field' }, h('label', { for: control.id, class: 'small' }, text), control);
};

const valueMap = (mapping, changed, locked) => {
  const pairs = Object.entries(mapping.value_map || {}).map(([from, to]) => [from, shown(to)]);
  const root = h('div', { class: 'pairs' });
  const keep = () => {
    mapping.value_map = Object.fromEntries(pairs.filter(([from]) => from !== '').map(([from, to]) => [from, constant(to)]));
    changed();
  };
  const draw = () => put(root, pairs.map((pair, n) => h('div', {},
    h('input', { value: pair[0], placeholder: 'value', 'aria-label': `Value ${n + 1}`, disabled: locked, on: { input: (event) => { pair[0] = event.target.value; keep(); } } }), icon('right'),
    h('input', { value: pair[1], placeholder: 'send instead', 'aria-label': `Instead of value ${n + 1}`, disabled: locked, on: { input: (event) => { pair[1] = event.target.value; keep(); } } }),
    button('', { kind: 'quiet square', sign: 'x', label: `Remove value ${n + 1}`, disabled: locked, on: () => { pairs.splice(n, 1); keep(); draw(); } }))),
  h('p', {}, button(pairs.length ? 'Add value' : 'Map values', { kind: 'small quiet', sign: 'plus', disabled: locked, on: () => { pairs.push(['', '']); draw(); root.querySelector('div:nth-last-child(2) input')?.focus(); } })));
  draw();
  return root;
};

const one = (mapping, { path, changed, removed, transforms, locked }) => {
  const text = (key, rest) => h('input', { value: shown(mapping[key]), autocomplete: 'off', spellcheck: 'false', disabled: locked, ...rest, on: { input: (event) => { mapping[key] = key === 'default' ? constant(event.target.value) : event.target.value.trim() || (key === 'source' || key === 'target' ? '' : null); changed(); } } });
  const transform = h('select', { disabled: locked, on: { change: (event) => { mapping.transform = event.target.value || null; changed(); } } }, h('option', { value: '' }, 'as it is'), transforms.map((each) => h('option', { value: each.name, title: each.help, selected: each.name === mapping.transform }, each.name)));
  const wrong = h('p', { class: 'error', hidden: true, data: { problems: path } });
  return h('div', { class: 'fieldmap', role: 'group', 'aria-label': `Field ${mapping.target || 'new'}` },
    h('div', { class: 'pair' }, labelled('From the event', text('source', { placeholder: 'properties.total', list: 'sources' })), icon('right'), labelled('To TikTok', text('target', { placeholder: 'properties.value', list: 'targets' })), button('', { kind: 'quiet square', sign: 'trash', label: `Remove field ${mapping.target || ''}`, disabled: locked, on: removed })),
    h('div', { class: 'more' }, labelled('Transform', transform), labelled('Format', text('format', { placeholder: 'order-{value}' })), labelled('If nothing is left', text('default', { placeholder: 'EUR' }))),
    valueMap(mapping, changed, locked), wrong);
};

const ROOMS = ['products', 'contents', 'items'].map((name) => `properties.${name}[].`);
const inSealed = (source) => (source.startsWith('products[].') ? ROOMS.map((room) => room + source.slice(11)) : [source.replace(/^context\.page\./, 'page.')]);
const sameTarget = (one, other) => String(one).replace('[*]', '[]').replace(/^properties\.contents\[\]/, 'contents[]').trim() === other;
const described = ({ target, sources, note }, { seen, overrides, begin, locked }) => {
  const over = overrides.find((each) => sameTarget(each.target, target));
  const found = (source) => inSealed(source).map((path) => seen.get(path)).find((each) => each !== undefined);
  const room = (source) => source.slice(0, source.lastIndexOf('.') + 1);
  const short = (source, n) => (n > 0 && room(source) === room(sources[n - 1]) ? source.slice(room(source).length) : source); // of one room, the names alone
  const places = sources.flatMap((source, n) => [n > 0 && ' or ', h('code', { class: found(source) === undefined ? '' : 'seen', title: `${source}${found(source) === undefined ? '' : ` – seen lately${found(source) ? `, e.g. ${found(source)}` : ''}`}` }, short(source, n))]);
  const preset = [places, note && (sources.length ? `, else ${note}` : note)];
  return h('tr', {}, h('th', { scope: 'row' }, h('code', { title: target }, target.startsWith('contents[].') ? ['contents[].', h('wbr'), target.slice(11)] : target.replace(/^properties\./, ''))),
    h('td', {}, over ? [h('s', { class: 'soft' }, preset), h('div', {}, over.source ? h('code', {}, over.source) : 'the same for all', ' ', h('span', { class: 'chip info' }, 'override'))] : preset),
    h('td', {}, !locked && !over && button('', { kind: 'quiet square', sign: 'plus', label: `Override ${target}`, on: () => begin(target) })));
};
/** What each of TikTok's fields is made of where nothing is mapped, and what the overrides make of it. `begin` adds an override of a field. */
export const presetTable = ({ fields = [], namesakes = [], sources = [] }, { overrides, begin, locked: given = false }) => {
  const around = { overrides, begin, locked: given || !mayEdit(), seen: new Map(sources.map((each) => [each.path, each.example])) };
  const part = (name, rows) => h('table', { class: 'preset', 'aria-label': name }, h('tbody', {}, rows.map((each) => described(each, around))));
  const [own, person] = [fields.filter((each) => /^(properties|contents)/.test(each.target)), fields.filter((each) => !/^(properties|contents)/.test(each.target))];
  const others = namesakes.map((target) => ({ target, sources: [target] })).filter((each) => overrides.some((over) => sameTarget(over.target, each.target)));
  return h('div', { class: 'stack tight' }, part('Fields of the preset', [...own, ...others]),
    own.some((each) => each.target.startsWith('contents')) && h('p', { class: 'help' }, 'products may be called contents or items as well; an event with one of these names itself is one product.', sources.length > 0 && [' ', h('code', { class: 'seen' }, 'So marked'), ': seen in the latest events.']),
    h('details', {}, h('summary', {}, 'Page, id and identity'), part('Page, id and identity', person), h('p', { class: 'help' }, 'Identity is found in all usual spellings, and hashed at the edge.')),
    namesakes.length > 0 && h('details', {}, h('summary', {}, `${namesakes.length} more, under TikTok’s own names`), h('p', { class: 'help' }, 'Taken where an event has a property of that name: ', namesakes.flatMap((each, n) => [n > 0 && ', ', h('code', { class: around.seen.has(each) ? 'seen' : '' }, each.replace('properties.', ''))]), '.')));
};

/** The list of fields of one event. `owner.mappings` is changed in place. */
export const fieldList = (owner, { path, changed, transforms, locked: given = false }) => {
  const locked = given || !mayEdit();
  const root = h('div', { class: 'stack tight' });
  owner.mappings ||= [];
  const draw = () => put(root, owner.mappings.map((mapping, n) => one(mapping, { path: `${path}.mappings.${n}`, changed, transforms, locked, removed: () => { owner.mappings.splice(n, 1); changed(); draw(); } })),
    h('div', {}, button('Add field', { kind: 'small', sign: 'plus', disabled: locked, on: () => { owner.mappings.push({ source: '', target: '' }); draw(); root.querySelector('.fieldmap:last-of-type input')?.focus(); } })));
  draw();
  root.begin = (target) => { owner.mappings.push({ source: '', target }); changed(); draw(); [...root.querySelectorAll('.fieldmap')].at(-1)?.querySelector('input')?.focus(); };
  return root;
};
/** What can be chosen while typing: paths of events really seen, TikTok's fields, TikTok's events. */
export const lists = (sources, targets, events) => {
  for (const [name, entries] of Object.entries({ sources, targets, events })) {
    $(name)?.remove();
    document.body.append(h('datalist', { id: name }, entries.map(([value, words]) => h('option', { value, label: words || undefined }))));
  }
};
/** Shows the problems of a draft beside the fields they are about; gives back those that have no place here. */
export const showProblems = (root, problems) => {
  for (const place of root.querySelectorAll('[data-problems]')) {
    const mine = problems.filter((problem) => problem.path === place.dataset.problems || problem.path?.startsWith(`${place.dataset.problems}.`));
    place.hidden = !mine.length;
    put(place, mine.length ? [icon('warn'), h('span', {}, mine.map((problem) => [problem.message, problem.hint].filter(Boolean).join(' – ')).join(' · '))] : []);
  }
  const placed = [...root.querySelectorAll('[data-problems]')].map((place) => place.dataset.problems);
  return problems.filter((problem) => !placed.some((path) => problem.path === path || problem.path?.startsWith(`${path}.`)));
};
