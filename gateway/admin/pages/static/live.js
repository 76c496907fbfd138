// Live events over server-sent events. Law: memory and the table are bounded; rows are slots whose texts change, so that nothing jumps; while you point at the list,
// read a row or have paused, new events wait and are counted.
import { all, get, id, url } from './api.js';
import { $, h, later, put, say } from './dom.js';
import { count, label, OUTCOMES, plural, utc } from './format.js';
import { banner, button, empty, options } from './ui.js';
import { openEvent } from './event.js';
import './shell.js';

const KEPT = 500;
const SLOTS = 100;
const PAINT_MS = 200;
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const known = new Map(); // id → row, oldest first
let order = []; // ids, newest first, as shown or to be shown
const slots = [];
let source;
let paused = false;
let held = false;
let waiting = 0;
let dirty = true;
let connected = false;
const names = new Map(); // id of an integration → its name
const filter = Object.fromEntries(new URLSearchParams(location.search));

const matches = (row) => (!filter.pipeline || row.pipeline === filter.pipeline) && (!filter.integration || row.integration === filter.integration) && (!filter.outcome || row.outcome === filter.outcome)
  && (!filter.q || [row.name, row.event, row.id, row.event_id, row.reason, row.code, row.integration, names.get(row.integration), row.pipeline].some((text) => String(text ?? '').toLowerCase().includes(filter.q.toLowerCase())));

const take = (row) => {
  if (!row || row.id === undefined) return;
  const id_ = String(row.id);
  if (known.has(id_)) Object.assign(known.get(id_), row);
  else {
    known.set(id_, row);
    order.unshift(id_);
    if (known.size > KEPT) {
      const gone = order.pop();
      known.delete(gone);
    }
    if (paused || held) waiting += 1;
  }
  dirty = true;
};

const slot = () => {
  const cells = { time: h('time', {}), name: h('button', { class: 'link clip', type: 'button' }), arrow: h('span', { class: 'arrow', 'aria-hidden': 'true' }, '→'), event: h('span', { class: 'clip soft' }), chip: h('span', { class: 'chip' }), dot: h('span', { class: 'dot' }), words: h('span', {}), pipeline: h('span', { class: 'clip' }), integration: h('span', { class: 'clip' }), tries: h('span', {}), code: h('code', {}) };
  cells.chip.append(cells.dot, cells.words);
  cells.row = h('tr', {}, h('td', { class: 'c-time soft' }, cells.time), h('td', { class: 'c-ev' }, h('div', { class: 'ev' }, cells.name, cells.arrow, cells.event)), h('td', { class: 'c-out' }, cells.chip), h('td', { class: 'c-pipe clip' }, cells.pipeline), h('td', { class: 'c-int clip' }, cells.integration), h('td', { class: 'c-try num' }, cells.tries), h('td', { class: 'c-code num' }, cells.code));
  cells.row.addEventListener('click', () => open(cells.id));
  $('rows').append(cells.row);
  slots.push(cells);
  return cells;
};
const show = (cells, row) => {
  cells.id = String(row.id);
  say(cells.time, clock.format(new Date(row.at * 1000)));
  cells.time.title = utc(row.at);
  cells.time.dateTime = new Date(row.at * 1000).toISOString();
  say(cells.name, row.name || row.event || '(no name)');
  cells.name.title = row.name || '';
  cells.arrow.hidden = cells.event.hidden = !row.event || row.event === row.name;
  say(cells.event, row.event || '');
  cells.event.title = row.event || '';
  const [text, kind] = OUTCOMES[row.outcome] || [label(row.outcome), ''];
  const words = row.outcome === 'filtered' || row.outcome === 'rejected' ? label(row.reason) || text : text;
  if (cells.chip.className !== `chip ${kind}`) cells.chip.className = `chip ${kind}`;
  say(cells.words, words);
  cells.chip.title = row.reason ? label(row.reason) : '';
  say(cells.pipeline, row.pipeline || '–');
  say(cells.integration, names.get(row.integration) || row.integration || '–');
  cells.integration.parentElement.title = row.integration || '';
  cells.pipeline.parentElement.title = row.pipeline || '';
  say(cells.tries, row.attempts ? count(row.attempts) : '–');
  say(cells.code, row.code === undefined || row.code === null || row.code === '' ? '–' : String(row.code));
  cells.row.hidden = false;
};

let frozen = null; // what is shown while held
const paint = () => {
  if (!dirty) return;
  dirty = false;
  const ids = (paused || held) && frozen ? frozen : order;
  const rows = [];
  for (const each of ids) {
    const row = known.get(each);
    if (row && matches(row)) rows.push(row);
    if (rows.length === SLOTS) break;
  }
  rows.forEach((row, n) => show(slots[n] || slot(), row));
  for (const spare of slots.slice(rows.length)) spare.row.hidden = true;
  $('empty').hidden = rows.length > 0;
  if (!rows.length) sayEmpty();
  tell();
};
let saidEmpty = '';
const sayEmpty = () => {
  const filtered = known.size > 0 || Object.values(filter).some(Boolean);
  const now = `${filtered}${connected}`;
  if (now === saidEmpty) return;
  saidEmpty = now;
  put($('empty'), filtered ? empty('live', 'No event fits the filter', 'Newer ones that fit appear here by themselves.', button('Clear the filter', { on: clear }))
    : empty('live', connected ? 'Listening for events …' : 'Connecting …', 'Open a page of your site that has the tag and accept the cookies; its events appear here within a second. No tag yet? A pipeline’s page has it to paste.', h('a', { class: 'btn primary', href: '/pipelines' }, 'Show the tag')));
};
const tell = () => {
  const waits = waiting ? `${plural(waiting, 'new event')} waiting` : '';
  $('state').classList.toggle('on', connected && !paused);
  say($('state').lastElementChild, !connected ? 'reconnecting …' : paused ? `paused${waits ? ` · ${waits}` : ''}` : held && waiting ? waits : 'live');
};
const hold = (now) => {
  if (held === now) return;
  held = now;
  if (!paused) frozen = held ? [...order] : null;
  if (!held && !paused) waiting = 0;
  dirty = true;
};

const open = async (id_) => {
  if (id_ === undefined) return;
  const row = known.get(id_) || {};
  const parameters = new URLSearchParams(Object.entries(filter).filter(([, value]) => value));
  parameters.set('event', id_);
  history.replaceState(null, '', `?${parameters}`);
  hold(true);
  await openEvent(`live/${id(id_)}`, { title: row.name || 'Event', permalink: `/live?event=${encodeURIComponent(id_)}` });
  remember();
  hold($('rows').contains(document.activeElement));
};
const remember = () => {
  const parameters = new URLSearchParams(Object.entries(filter).filter(([name, value]) => value && name !== 'event'));
  history.replaceState(null, '', `${location.pathname}${String(parameters) ? `?${parameters}` : ''}`);
};

let heard = null; // what the stream says while the newest rows are being fetched; null = they are here
const listen = () => {
  source?.close();
  source = new EventSource(url('live', { pipeline: filter.pipeline, integration: filter.integration }));
  // The rows are fetched once the stream runs, each time it does: asked for earlier, what becomes of a row in between would be told by neither.
  source.addEventListener('open', () => { connected = true; dirty = true; load(); });
  source.addEventListener('error', () => { if (!connected) load(); connected = false; dirty = true; });
  source.addEventListener('row', (message) => { const row = JSON.parse(message.data); if (heard) heard.push(row); else take(row); });
  source.addEventListener('sampled', (message) => {
    const found = JSON.parse(message.data);
    const busy = found.rate > found.shown;
    $('sampled').hidden = !busy;
    if (busy) put($('sampled'), banner('info', 'A sample is shown', `${count(Math.round(found.rate))} events a second arrive, of all pipelines together; about ${count(Math.round(found.shown))} of them are shown, at least ${count(found.assured ?? 1)} of each pipeline and integration. All are counted in the overview.`));
  });
};
const load = async () => {
  const mine = [];
  heard = mine;
  let items = [];
  try {
    items = (await get('live/recent', { limit: 200, pipeline: filter.pipeline, integration: filter.integration })).items || [];
  } catch {
    // the stream says by itself that it is not there
  }
  if (heard !== mine) return; // asked again meanwhile
  heard = null;
  if (items.some((row) => known.has(String(row.id)) && known.get(String(row.id)).at !== row.at)) {
    // the gateway was started anew and counts from one again
    known.clear();
    order = [];
    frozen = null;
  }
  const before = waiting;
  for (const row of items.reverse()) take(row);
  order.sort((one, other) => known.get(other).at - known.get(one).at);
  if (!paused) waiting = before; // nobody waited for these
  for (const row of mine) take(row);
  if (wanted) open(wanted);
  wanted = '';
};
const change = (name, value) => {
  filter[name] = value;
  saidEmpty = '';
  dirty = true;
  if (!frozen || !paused) frozen = null;
  remember();
  if (name === 'pipeline' || name === 'integration') listen();
};
const clear = () => {
  for (const name of ['q', 'pipeline', 'integration', 'outcome']) {
    $(name).value = '';
    change(name, '');
  }
};

$('q').value = filter.q || '';
$('q').addEventListener('input', later((event) => change('q', event.target.value.trim()), 120));
for (const name of ['pipeline', 'integration', 'outcome']) $(name).addEventListener('change', (event) => change(name, event.target.value));
$('clear').addEventListener('click', clear);
$('pause').addEventListener('click', () => {
  paused = !paused;
  frozen = paused ? [...order] : null;
  waiting = 0;
  $('pause').setAttribute('aria-pressed', String(paused));
  say($('pause'), paused ? 'Resume' : 'Pause');
  dirty = true;
});
$('rows').addEventListener('pointerenter', () => hold(true));
$('rows').addEventListener('pointerleave', () => hold($('rows').contains(document.activeElement)));
$('rows').addEventListener('focusin', () => hold(true));
$('rows').addEventListener('focusout', (event) => { if (!$('rows').contains(event.relatedTarget)) hold($('rows').matches(':hover')); });
options($('outcome'), [['', 'All outcomes'], ...['accepted', 'delivered', 'filtered', 'dead', 'rejected', 'refused', 'expired', 'deduplicated'].map((code) => [code, OUTCOMES[code][0]])], filter.outcome || '');
all('pipelines').then((items) => options($('pipeline'), [['', 'All pipelines'], ...items.map((each) => [each.id, each.id])], filter.pipeline || ''), () => {});
all('integrations').then((items) => {
  for (const each of items) names.set(each.id, each.name || each.id);
  dirty = true;
  options($('integration'), [['', 'All integrations'], ...items.map((each) => [each.id, each.name || each.id])], filter.integration || '');
}).catch(() => {});
let wanted = filter.event;
delete filter.event;
listen();
setInterval(paint, PAINT_MS);
addEventListener('pagehide', () => source?.close());
