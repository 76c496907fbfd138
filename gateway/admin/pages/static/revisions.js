// Revisions: what changed, by whom, the difference, and the way back.
import { get, id, post } from './api.js';
import { $, h, put } from './dom.js';
import { chip, time } from './format.js';
import { broken, button, confirm, diff, empty, guard, mayEdit, slim, toast } from './ui.js';
import { readOnly, session, settings } from './shell.js';

let items = [];
let next = null;
const files = (found) => {
  const parts = found.files || (Array.isArray(found) ? found : [found]);
  return parts.length ? parts.map((each) => h('div', { class: 'stack tight' }, (each.path || each.name) && h('h3', {}, h('code', {}, each.path || each.name)), diff(typeof each.lines === 'string' ? each.lines.split('\n').map((text) => ({ op: text[0], text: text.slice(1) })) : each.lines || []))) : slim('No difference.');
};
const back = guard(async (row) => {
  if (!await confirm('Roll back to this revision?', 'Integrations, mappings and pipelines made here become what they were right after it. That is a new revision itself, so nothing is lost; no event is dropped. Access tokens stay the current ones.', { action: 'Roll back' })) return;
  await post(`revisions/${id(row.id)}/rollback`);
  toast('Rolled back and in force');
  await load();
});
const card = (row) => {
  const body = h('div', { class: 'stack' });
  let asked = false;
  return h('article', { class: 'revision' },
    h('div', { class: 'row apart top' }, h('div', { class: 'grow' }, h('h2', {}, row.summary || 'Change'), h('p', { class: 'small soft row' }, time(row.at), h('span', {}, `by ${row.actor || 'unknown'}`), h('code', {}, `#${row.id}`), row.current && chip('in force', 'good'))), !row.current && mayEdit() && button('Roll back to this', { kind: 'small', sign: 'revisions', edit: true, on: () => back(row) })),
    h('details', { on: { toggle: async (event) => {
      if (!event.target.open || asked) return;
      asked = true;
      try {
        put(body, files(await get(`revisions/${id(row.id)}/diff`)));
      } catch (error) {
        asked = false;
        put(body, slim(error.message));
      }
    } } }, h('summary', {}, 'What changed'), body));
};
const draw = async () => {
  const facts = await settings().catch(() => ({}));
  put($('list'), items.length ? [readOnly(), h('section', { class: 'card flush', 'aria-label': 'Revisions' }, items.map(card)), next && h('div', {}, button('Show older', { on: guard(() => load(true)) }))] : h('div', { class: 'card' }, facts.catalogue?.writable === false ? empty('lock', 'Changes are made in the configuration file', 'Set catalog.path to a writable folder, and every change made here becomes a revision with its author.') : empty('revisions', 'No change yet', 'The first integration, mapping or pipeline you save here becomes the first revision.', h('a', { class: 'btn', href: '/integrations' }, 'Go to integrations'))));
};
const load = async (further = false) => {
  try {
    const found = await get('revisions', { limit: 30, cursor: further ? next : undefined });
    items = further ? [...items, ...found.items] : found.items;
    next = found.next || found.next_cursor || null;
    await draw();
  } catch (error) {
    put($('list'), h('div', { class: 'card' }, broken(error, () => load())));
  }
};
session.then(() => load(), () => load());
