// The list of integrations: how each one stands, and what can be done to it.
import { all } from './api.js';
import { $, h, icon, put } from './dom.js';
import { ago, chip, label, left, plural } from './format.js';
import { banner, broken, empty, fact, mayEdit, menu } from './ui.js';
import { duplicate, enable, removeEntry, standing, testCode, where } from './entries.js';
import { every, session } from './shell.js';

const card = (entry) => {
  const lane = entry.lane || {};
  const troubled = lane.state === 'suspended' || lane.state === 'backing_off';
  return h('article', { class: 'card entry', 'aria-labelledby': `name-${entry.id}`, data: { id: entry.id } },
    h('div', { class: 'entry-head' },
      h('span', { class: 'logo' }, icon('integrations')),
      h('div', { class: 'grow' }, h('h2', { id: `name-${entry.id}` }, h('a', { href: where(entry.id) }, entry.name || entry.id)), h('div', { class: 'row small soft' }, h('code', {}, entry.pixel_code), h('span', {}, entry.vendor === 'tiktok' ? 'TikTok' : 'TikTok Events API'), entry.declared && chip('from the file', 'line', false, 'Declared in the configuration file: read-only here.'))),
      standing(entry),
      mayEdit() && menu(`Actions for ${entry.name || entry.id}`, [
        [entry.enabled === false ? 'Enable' : 'Disable', entry.enabled === false ? 'play' : 'x', () => enable(entry).then((done) => done && again(entry.id)), { edit: true, off: entry.declared }],
        ['Duplicate', 'copy', () => duplicate(entry), { edit: true }],
        !entry.declared && ['Remove', 'trash', () => removeEntry(entry).then((done) => done && again('')), { edit: true, danger: true }],
      ].filter((each) => each && !each[3]?.off))),
    entry.fault && banner('bad', 'It has a fault', [entry.fault, '. Open it, correct what is marked and save; or roll back under Revisions.']),
    entry.test_event_code && testCode(entry, () => again(entry.id)),
    !entry.has_token && banner('warn', 'No access token', entry.declared ? 'Events for it queue up and wait. The configuration file has to name one.' : 'Events for it queue up and wait. Generate one in Ads Manager and enter it here.', mayEdit() && !entry.declared && h('a', { class: 'btn small', href: where(entry.id) }, 'Enter it')),
    troubled && banner(lane.state === 'suspended' ? 'bad' : 'warn', [lane.code && `${lane.code}: `, lane.message].filter(Boolean).join('') || label(lane.state), [lane.cure || 'It is tried again by itself.', lane.next_try ? [' Next try ', left(lane.next_try), '.'] : '']),
    h('dl', { class: 'facts' },
      fact('Preset', label(entry.preset)), fact('Pipelines', entry.pipelines?.length ? entry.pipelines.join(', ') : h('span', { class: 'soft' }, 'none')), fact('Consent', entry.consent?.length ? entry.consent.join(' + ') : 'not needed'),
      fact('Waiting', plural(entry.queued || 0, 'event')), fact('Dead letters', entry.dead ? h('a', { href: `/dead?integration=${encodeURIComponent(entry.id)}` }, plural(entry.dead, 'event')) : 'none'), entry.last_delivered_at !== undefined && fact('Last delivered', ago(entry.last_delivered_at))),
    h('div', { class: 'row' }, h('a', { class: 'btn small', href: where(entry.id) }, entry.declared || !mayEdit() ? 'View' : 'Edit'), h('a', { class: 'btn small', href: where(entry.id, '/mappings') }, 'Field mappings'), h('a', { class: 'btn small', href: where(entry.id, '#verify') }, 'Test and verify'), h('a', { class: 'btn small quiet', href: `/live?integration=${encodeURIComponent(entry.id)}` }, 'Live events')));
};
let shown = '';
const load = async ({ now = false } = {}) => {
  try {
    const items = await all('integrations');
    const key = JSON.stringify(items);
    if (key === shown || (!now && $('list').contains(document.activeElement))) return; // never under somebody's hands
    shown = key;
    put($('list'), items.length ? items.map(card) : h('div', { class: 'card' }, empty('integrations', 'Connect your TikTok pixel', 'An integration delivers your events to one pixel. You need its code and an Events API access token, both from TikTok Ads Manager; the form says where.', mayEdit() && h('a', { class: 'btn primary', href: '/integrations/new' }, 'Add integration'))));
  } catch (error) {
    shown = '';
    put($('list'), h('div', { class: 'card' }, broken(error, () => load())));
  }
};
/** After a change: drawn at once, and the focus stays with the entry. */
const again = async (name) => {
  await load({ now: true });
  ([...document.querySelectorAll('.entry')].find((each) => each.dataset.id === name)?.querySelector('.menu button') || $('main')).focus();
};
session.then(() => every(10000, load), () => load());
