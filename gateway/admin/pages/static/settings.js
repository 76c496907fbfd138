// Settings: how this gateway runs, read only.
import { get } from './api.js';
import { $, h, put } from './dom.js';
import { ago, bytes, count, duration, time } from './format.js';
import { banner, broken, code, json, term } from './ui.js';
import { chip } from './format.js';
import { session, settings } from './shell.js';

const load = async () => {
  try {
    const [found, who, numbers] = await Promise.all([settings(), session, get('overview', { window: '15m' }).catch(() => ({}))]);
    const { catalogue = {} } = found;
    const spool = { ...numbers.spool, ...found.spool };
    const lifetime = found.settings?.catalog?.test_code_lifetime;
    const faults = found.faults || [];
    put($('content'),
      faults.length === 0 && banner('good', 'No faults', 'All sections of the configuration are in force.'),
      h('div', { class: 'grid two' },
        h('section', { class: 'card' }, h('div', { class: 'card-head' }, h('h2', {}, 'This gateway')), h('dl', { class: 'dl' }, term('Version', found.version || '–'), term('Started', time(found.started_at), h('span', { class: 'soft' }, found.started_at ? ` (${ago(found.started_at)})` : '')), term('Configuration', h('code', {}, found.config_path || '–')), found.prefix && term('First-party prefix', h('code', {}, found.prefix)), found.delivery?.endpoint && term('Delivers to', h('code', {}, found.delivery.endpoint)), found.consent_default && term('Without a consent signal', found.consent_default === 'deny' ? 'events are left out' : 'events are let through'))),
        h('section', { class: 'card' }, h('div', { class: 'card-head' }, h('h2', {}, 'Catalogue'), catalogue.writable === false ? chip('read-only', 'warn') : chip('writable', 'good')), h('dl', { class: 'dl' }, term('Kept in', h('code', {}, catalogue.path || 'the configuration file only')), catalogue.reason && term('Why', catalogue.reason), catalogue.revision !== undefined && term('Revision', h('a', { href: '/revisions' }, `#${catalogue.revision}`)), catalogue.writable !== false && lifetime !== undefined && term('Test event codes', lifetime ? `are removed by themselves after ${duration(lifetime)}` : 'stay until somebody removes them'))),
        h('section', { class: 'card' }, h('div', { class: 'card-head' }, h('h2', {}, 'Spool')), h('dl', { class: 'dl' }, spool.path && term('Path', h('code', {}, spool.path)), spool.max_bytes && term(...(typeof spool.used_bytes === 'number' ? ['Used', `${bytes(spool.used_bytes)} of ${bytes(spool.max_bytes)}`] : ['At most', bytes(spool.max_bytes)])), typeof spool.records === 'number' && term('Records', count(spool.records)), spool.writable === false && term('State', chip('not writable', 'bad')))),
        h('section', { class: 'card' }, h('div', { class: 'card-head' }, h('h2', {}, 'You')), h('dl', { class: 'dl' }, term('Signed in as', who.name || '–'), term('Role', who.role === 'editor' ? 'editor: may change things' : 'viewer: may look'), who.expires_at && term('Session ends', time(who.expires_at)), term('API', h('a', { href: '/api/v1/openapi.json' }, 'OpenAPI document'), ' – whatever these pages do, it does')))),
      found.settings && h('section', { class: 'card stack' }, h('div', {}, h('h2', {}, 'Configuration in force'), h('p', { class: 'help' }, 'Secrets are left out.')), typeof found.settings === 'string' ? code(found.settings, { name: 'configuration' }) : json(found.settings, { name: 'configuration' })));
  } catch (error) {
    put($('content'), h('div', { class: 'card' }, broken(error, () => location.reload())));
  }
};
load();
