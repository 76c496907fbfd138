// What can be done to an integration, wherever it is shown.
import { id, post, read, remove, replace } from './api.js';
import { h } from './dom.js';
import { chip, laneChip, left, plural } from './format.js';
import { banner, button, confirm, dialog, guard, mayEdit, toast } from './ui.js';
import { field, place } from './forms.js';

export const where = (name, rest = '') => `/integrations/${id(name)}${rest}`;
export const slug = (text) => text.normalize('NFKD').toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 60);
/** What may be sent back: the model's own fields, without what the API adds. */
export const FIELDS = ['id', 'vendor', 'name', 'preset', 'pixel_code', 'test_event_code', 'consent', 'dedupe_purchases', 'enabled', 'default_action', 'send', 'limited_data_use', 'events', 'global', 'defaults', 'pipelines'];
export const own = (entry) => Object.fromEntries(FIELDS.filter((name) => entry[name] !== undefined).map((name) => [name, entry[name]]));

/** Changes some fields of what was read; what somebody else did meanwhile is not overwritten. */
export const change = (entry, values) => replace(`integrations/${id(entry.id)}`, { ...own(entry), ...values }, entry.etag);
const UNITS = [['d', 86400], ['h', 3600], ['m', 60], ['s', 1]];
/** Seconds as a configuration has them: 30d, 90m. */
export const spelt = (seconds) => {
  if (typeof seconds !== 'number') return '';
  const [unit, size] = UNITS.find(([, each]) => seconds % each === 0) || UNITS.at(-1);
  return `${seconds / size}${unit}`;
};

/** How it stands, in one chip. Nothing is delivered for one that no pipeline feeds, however well its lane is. */
export const standing = (entry) => {
  if (entry.enabled === false) return chip('Disabled', '', true);
  const state = entry.lane?.state;
  if (!entry.pipelines?.length && (!state || state === 'active')) return chip('No pipeline', 'warn', true);
  return state ? laneChip(state) : chip('Idle', '', true);
};

const HOUR_S = 3600;
/** A test event code that is set is shouted about, with what can be done. `done` draws anew. */
export const testCode = (entry, done) => {
  const may = mayEdit() && !entry.declared;
  const act = (values, said) => guard(async () => {
    await change(entry, values);
    toast(said);
    await done();
  });
  return banner('warn', `Test event code ${entry.test_event_code} is set`, ['Events show in TikTok’s test tab and not in your reports. ', entry.test_code_until ? ['It is removed by itself ', left(entry.test_code_until), '.'] : entry.declared ? 'Remove it from the configuration file after testing.' : 'Remove it after testing.'],
    may && entry.test_code_until && button('Keep it another hour', { kind: 'small', on: act({ test_code_until: Math.floor(entry.test_code_until) + HOUR_S }, 'Kept for another hour') }),
    may && button('Remove it', { kind: 'small', on: act({ test_event_code: null }, 'Removed: events count again') }));
};

/** What was just made here, told once on the page that follows. */
const ADDED = 'ttgateway-added';
export const remember = (kind, name) => sessionStorage.setItem(ADDED, `${kind}/${name}`);
export const justAdded = (kind, name) => {
  if (sessionStorage.getItem(ADDED) !== `${kind}/${name}`) return false;
  sessionStorage.removeItem(ADDED);
  return true;
};

export const enable = async (entry) => {
  const now = entry.enabled === false;
  if (!now && !await confirm(`Disable ${entry.name || entry.id}?`, 'Nothing new is accepted for it, and its queue pauses. Nothing is lost; enable it again to go on.', { action: 'Disable' })) return false;
  const { etag } = await read(`integrations/${id(entry.id)}`);
  await post(`integrations/${id(entry.id)}/enabled`, { enabled: now }, etag);
  toast(now ? 'Enabled' : 'Disabled; its queue pauses');
  return true;
};
export const removeEntry = async (entry) => {
  const sure = await confirm(`Remove ${entry.name || entry.id}?`, entry.queued ? `${plural(entry.queued, 'waiting event')} will become dead letters. Rolling back under Revisions brings it back, with its token.` : 'Nothing waits in its queue. Rolling back under Revisions brings it back, with its token.', { action: 'Remove', danger: true, typed: entry.id });
  if (!sure) return false;
  const { etag } = await read(`integrations/${id(entry.id)}`);
  await remove(`integrations/${id(entry.id)}`, etag);
  toast('Removed');
  return true;
};
export const duplicate = (entry) => dialog('Duplicate', ({ close, title }) => {
  const name = field({ name: 'name', text: 'Name', value: `${entry.name || entry.id} (copy)`, required: true });
  const key = field({ name: 'id', text: 'Id', value: slug(`${entry.id}-copy`), required: true, help: 'Short, for metrics and logs; it cannot be changed later.' });
  const summary = h('div');
  return h('form', { novalidate: true, on: { submit: async (event) => {
    event.preventDefault();
    try {
      const made = await post(`integrations/${id(entry.id)}/duplicate`, { id: key.read(), name: name.read() });
      remember('integrations', key.read());
      close(made);
      location.assign(where(made?.id || key.read()));
    } catch (error) {
      place(error, [name, key], summary);
    }
  } } }, title, h('p', { class: 'soft' }, 'The copy has the same settings and mappings. It starts disabled, without token and pipelines, so that nothing is sent twice.'), summary, name.root, key.root, h('div', { class: 'actions' }, button('Cancel', { on: () => close() }), button('Duplicate', { kind: 'primary', type: 'submit' })));
});
/** The tabs of one integration's pages. */
export const tabs = (root, name, current) => {
  root.hidden = false;
  root.replaceChildren(...[['settings', where(name), 'Settings'], ['mappings', where(name, '/mappings'), 'Field mappings'], ['verify', where(name, '#verify'), 'Test and verify'], ['yaml', where(name, '#yaml'), 'YAML']].map(([key, href, text]) => h('a', { href, 'aria-current': key === current ? 'page' : undefined }, text)));
  root.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' });
};
