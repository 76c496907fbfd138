// What can be done to an integration, wherever it is shown.
import { id, post, read, remove } from './api.js';
import { h } from './dom.js';
import { plural } from './format.js';
import { confirm, dialog, button, toast } from './ui.js';
import { field, place } from './forms.js';

export const where = (name, rest = '') => `/integrations/${id(name)}${rest}`;
export const slug = (text) => text.normalize('NFKD').toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 60);
/** What may be sent back: the model's own fields, without what the API adds. */
export const FIELDS = ['id', 'vendor', 'name', 'preset', 'pixel_code', 'test_event_code', 'consent', 'enabled', 'default_action', 'send', 'limited_data_use', 'events', 'global', 'defaults', 'pipelines'];
export const own = (entry) => Object.fromEntries(FIELDS.filter((name) => entry[name] !== undefined).map((name) => [name, entry[name]]));

export const enable = async (entry) => {
  const now = entry.enabled === false;
  if (!now && !await confirm(`Disable ${entry.name || entry.id}?`, 'Nothing new is accepted for it, and its queue pauses. Nothing is lost; enable it again to go on.', { action: 'Disable' })) return false;
  const { etag } = await read(`integrations/${id(entry.id)}`);
  await post(`integrations/${id(entry.id)}/enabled`, { enabled: now }, etag);
  toast(now ? 'Enabled' : 'Disabled; its queue pauses');
  return true;
};
export const removeEntry = async (entry) => {
  const sure = await confirm(`Remove ${entry.name || entry.id}?`, entry.queued ? `${plural(entry.queued, 'waiting event')} will become dead letters. The revision can be rolled back.` : 'Nothing waits in its queue. The revision can be rolled back.', { action: 'Remove', danger: true, typed: entry.id });
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
      close(made);
      location.assign(where(made?.id || key.read()));
    } catch (error) {
      place(error, [name, key], summary);
    }
  } } }, title, h('p', { class: 'soft' }, 'The copy has the same settings and mappings. It starts disabled and without pipelines, so that nothing is sent twice.'), summary, name.root, key.root, h('div', { class: 'actions' }, button('Cancel', { on: () => close() }), button('Duplicate', { kind: 'primary', type: 'submit' })));
});
/** The tabs of one integration's pages. */
export const tabs = (root, name, current) => {
  root.hidden = false;
  root.replaceChildren(...[['settings', where(name), 'Settings'], ['mappings', where(name, '/mappings'), 'Field mappings'], ['verify', where(name, '#verify'), 'Test and verify'], ['yaml', where(name, '#yaml'), 'YAML']].map(([key, href, text]) => h('a', { href, 'aria-current': key === current ? 'page' : undefined }, text)));
};
