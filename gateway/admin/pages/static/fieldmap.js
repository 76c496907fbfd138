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

/** The list of fields of one event. `owner.mappings` is changed in place. */
export const fieldList = (owner, { path, changed, transforms, locked: given = false }) => {
  const locked = given || !mayEdit();
  const root = h('div', { class: 'stack tight' });
  owner.mappings ||= [];
  const draw = () => put(root, owner.mappings.map((mapping, n) => one(mapping, { path: `${path}.mappings.${n}`, changed, transforms, locked, removed: () => { owner.mappings.splice(n, 1); changed(); draw(); } })),
    h('div', {}, button('Add field', { kind: 'small', sign: 'plus', disabled: locked, on: () => { owner.mappings.push({ source: '', target: '' }); draw(); root.querySelector('.fieldmap:last-of-type input')?.focus(); } })));
  draw();
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
