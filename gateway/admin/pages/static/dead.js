// Dead letters: filter, inspect, replay, drop, export.
import { all, get, id, post, url } from './api.js';
import { $, h, later, put } from './dom.js';
import { count, duration, label, plural, time } from './format.js';
import { banner, broken, button, confirm, empty, failed, guard, mayOperate, options, toast } from './ui.js';
import { openEvent } from './event.js';
import { session } from './shell.js';

const PAGE = 50;
const filter = Object.fromEntries(['q', 'integration', 'reason'].map((name) => [name, new URLSearchParams(location.search).get(name) || '']));
const chosen = new Set();
let items = [];
let next = null;
let total;
let everything = false; // all that the filter finds, not only what is listed

const given = () => Object.fromEntries(Object.entries(filter).filter(([, value]) => value));
const selection = () => (everything ? { filter: given() } : { ids: [...chosen] });
const many = () => (everything ? total ?? items.length : chosen.size);
const filtered = () => Object.keys(given()).length > 0;

const actions = () => {
  const n = many();
  put($('actions'), items.length > 0 && [h('a', { class: 'btn', href: url('dead/export', given()), download: 'dead-letters.jsonl' }, 'Export'), mayOperate() && button(n ? `Drop ${count(n)}` : 'Drop', { kind: 'danger', operate: true, disabled: !n, on: guard(drop) }), mayOperate() && button(n ? `Replay ${count(n)}` : 'Replay all', { kind: 'primary', sign: 'replay', operate: true, on: guard(() => { if (!n) everything = true; return replay(selection(), n || total || items.length); }) })]);
};
const follow = (job, n) => new Promise((resolve) => {
  const bar = h('progress', { max: n || 1, value: 0, 'aria-label': 'Replay' });
  const words = h('span', { class: 'small soft' }, 'starting …');
  const box = h('div', { class: 'card stack tight', role: 'status' }, h('div', { class: 'row apart' }, h('strong', {}, `Replaying ${plural(n, 'event')}`), words), bar);
  $('jobs').append(box);
  const ask = async () => {
    try {
      const found = await get(`dead/jobs/${id(job)}`);
      bar.max = found.count || n || 1;
      bar.value = found.done || 0;
      put(words, `${count(found.done || 0)} of ${count(found.count ?? n)} queued again`);
      if (found.state === 'done' || found.state === 'failed' || (found.count !== undefined && found.done >= found.count)) {
        setTimeout(() => box.remove(), 4000);
        if (found.state === 'failed') toast(found.message || 'The replay ended early', 'bad');
        resolve();
        return;
      }
    } catch (error) {
      failed(error);
      box.remove();
      resolve();
      return;
    }
    setTimeout(ask, 400);
  };
  ask();
});
const replay = async (body, n) => {
  let estimate;
  try {
    estimate = await post('dead/replay', { ...body, dry_run: true });
  } catch (error) {
    if (error.status !== 400 && error.status !== 422) throw error; // an API without estimates
  }
  const number = estimate?.count ?? n;
  if (!await confirm(`Replay ${plural(number, 'event')}?`, `They are mapped with today’s settings and sent again${typeof estimate?.estimate_s === 'number' ? `, ${estimate.estimate_s < 1 ? 'at once' : `in about ${duration(estimate.estimate_s)}`}` : ''}. Each keeps its event_id, so TikTok counts none twice within 48 hours; its age starts anew.`, { action: 'Replay', extra: estimate?.warnings?.length ? h('ul', { class: 'stack tight' }, estimate.warnings.map((text) => h('li', {}, banner('warn', text)))) : null })) { everything = false; actions(); return; }
  const found = await post('dead/replay', body);
  if (found?.job) await follow(found.job, found.count ?? number);
  else toast(`${plural(found?.replayed ?? found?.count ?? number, 'event')} queued again`);
  chosen.clear();
  everything = false;
  await load();
};
const drop = async () => {
  const n = many();
  if (!await confirm(`Drop ${plural(n, 'event')} for good?`, 'They are removed and counted as dropped. This cannot be undone; export them first if in doubt.', { action: 'Drop', danger: true, typed: n > 20 ? 'drop' : undefined })) return;
  const found = await post('dead/drop', selection());
  toast(`${plural(found?.dropped ?? found?.count ?? n, 'event')} dropped`);
  chosen.clear();
  everything = false;
  await load();
};
const inspect = (row) => openEvent(`dead/${id(row.id)}`, { title: row.name || 'Dead letter', actions: (close) => mayOperate() && button('Replay', { kind: 'small', sign: 'replay', on: guard(async () => { close(); await replay({ ids: [row.id] }, 1); }) }) });
const line = (row) => {
  const box = h('input', { type: 'checkbox', checked: everything || chosen.has(row.id), 'aria-label': `Choose ${row.name || row.id}`, on: { click: (event) => event.stopPropagation(), change: (event) => { everything = false; if (event.target.checked) chosen.add(row.id); else chosen.delete(row.id); actions(); summary(); } } });
  return h('tr', { on: { click: () => inspect(row) } }, h('td', {}, box), h('td', {}, h('button', { class: 'link', type: 'button' }, row.name || row.event || '(unreadable)'), row.event && row.event !== row.name && h('span', { class: 'soft' }, ` → ${row.event}`)), h('td', { class: 'wide' }, h('div', {}, label(row.reason)), h('div', { class: 'small soft' }, row.answer || row.words || '')), h('td', { class: 'mini' }, row.integration), h('td', { class: 'num mini' }, count(row.attempts)), h('td', { class: 'nowrap mini' }, time(row.died_at)));
};
const line2 = h('p', { class: 'small soft row' });
const summary = () => put(line2, everything ? `All ${count(total ?? items.length)} are chosen. ` : chosen.size ? `${count(chosen.size)} chosen. ` : total === undefined && next ? `${count(items.length)}+ dead letters. ` : `${plural(total ?? items.length, 'dead letter')}. `, !everything && chosen.size > 0 && next && button(`Choose all ${count(total)}`, { kind: 'small quiet', on: () => { everything = true; draw(); } }));
const draw = () => {
  actions();
  if (!items.length) {
    put($('list'), filtered() ? empty('dead', 'Nothing fits the filter', '', button('Clear the filter', { on: () => { for (const name of ['q', 'integration', 'reason']) { filter[name] = ''; $(name).value = ''; } load(); } })) : empty('check', 'No dead letters', 'Every accepted event has been delivered or waits for its turn. Events that TikTok refuses for good would be kept here, with its words and what to do.', h('a', { class: 'btn', href: '/live' }, 'Watch live events')));
    return;
  }
  const everyBox = h('input', { type: 'checkbox', 'aria-label': 'Choose all listed', checked: everything || (chosen.size > 0 && chosen.size >= items.length), on: { change: (event) => { everything = false; chosen.clear(); if (event.target.checked) for (const row of items) chosen.add(row.id); draw(); } } });
  summary();
  put($('list'), h('div', { class: 'table-wrap' }, h('table', { class: 'rows stackable' }, h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, everyBox), ['Event', 'Why', 'Integration'].map((text) => h('th', { scope: 'col' }, text)), h('th', { scope: 'col', class: 'num' }, 'Tries'), h('th', { scope: 'col' }, 'Since'))), h('tbody', {}, items.map(line)))), h('div', { class: 'map-edit' }, h('div', { class: 'row apart' }, line2, next && button('Show more', { kind: 'small', on: guard(() => load(true)) }))));
};
const load = async (further = false) => {
  try {
    const found = await get('dead', { limit: PAGE, cursor: further ? next : undefined, ...given() });
    items = further ? [...items, ...found.items] : found.items;
    next = found.next || found.next_cursor || null;
    total = found.total ?? undefined;
    draw();
    const reasons = found.reasons || [...new Set(items.map((row) => row.reason))];
    options($('reason'), [['', 'All reasons'], ...new Set([...reasons, filter.reason].filter(Boolean))].map((each) => (Array.isArray(each) ? each : [each, label(each)])), filter.reason);
  } catch (error) {
    put($('list'), broken(error, () => load()));
  }
};
const changed = () => {
  chosen.clear();
  everything = false;
  history.replaceState(null, '', `/dead${filtered() ? `?${new URLSearchParams(given())}` : ''}`);
  load();
};
$('q').value = filter.q;
$('q').addEventListener('input', later((event) => { filter.q = event.target.value.trim(); changed(); }, 250));
for (const name of ['integration', 'reason']) $(name).addEventListener('change', (event) => { filter[name] = event.target.value; changed(); });
all('integrations').then((found) => options($('integration'), [['', 'All integrations'], ...found.map((each) => [each.id, each.name || each.id])], filter.integration), () => {});
session.then(() => load(), () => load());
