// Numbers, times and words for people. Times of the API are Unix seconds; they are shown in the local zone, with UTC on hover.
import { h } from './dom.js';

const whole = new Intl.NumberFormat();
const compact = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const brief = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const dated = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit' });

export const count = (n) => (typeof n === 'number' && Number.isFinite(n) ? whole.format(n) : '–');
export const short = (n) => (typeof n === 'number' && Number.isFinite(n) ? (n < 10000 ? whole.format(n) : compact.format(n)) : '–');
export const percent = (part, of) => {
  if (!of) return '–';
  const share = (100 * part) / of;
  // 99.97 % is not "100 %": the difference is what people look for
  if (share > 99 && share < 100) return `${Math.min(99.9, share).toFixed(1)} %`;
  return `${share >= 10 || share === 0 ? Math.round(share) : share.toFixed(1)} %`;
};
/** Ends with a full stop, so that another sentence can follow. */
export const sentence = (text) => (text && !/[.!?…]$/.test(text) ? `${text}.` : text || '');
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
export const bytes = (n) => {
  if (typeof n !== 'number') return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let at = 0;
  for (; n >= 1024 && at < units.length - 1; at += 1) n /= 1024;
  return `${at && n < 10 ? n.toFixed(1) : Math.round(n)} ${units[at]}`;
};
export const duration = (seconds) => {
  if (typeof seconds !== 'number' || !Number.isFinite(seconds)) return '–';
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${Number.isInteger(seconds) ? seconds : seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds === 3600) return '1 h';
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
};
const moment = (unix) => new Date((typeof unix === 'number' ? unix : NaN) * 1000);
const known = (date) => !Number.isNaN(date.getTime());
export const utc = (unix) => (known(moment(unix)) ? moment(unix).toISOString().replace('T', ' ').replace(/\.\d+Z$/, ' UTC') : '');
const written = (unix) => {
  const date = moment(unix);
  if (!known(date)) return '–';
  return date.toDateString() === new Date().toDateString() ? clock.format(date) : dated.format(date);
};
export const axis = (unix) => brief.format(moment(unix));
/** A <time>, local, UTC on hover. */
export const time = (unix) => {
  if (!unix || !known(moment(unix))) return h('span', { class: 'soft' }, '–');
  return h('time', { datetime: moment(unix).toISOString(), title: utc(unix) }, written(unix));
};
export const ago = (unix) => {
  if (!unix) return 'never';
  const past = Date.now() / 1000 - unix;
  return past < 1 ? 'just now' : `${duration(Math.round(past))} ago`;
};
/** Counts down or up by itself: `<time data-left="unix">`. */
export const left = (unix) => h('time', { datetime: moment(unix).toISOString(), title: utc(unix), data: { left: unix } }, leftText(unix));
export const leftText = (unix) => {
  const seconds = unix - Date.now() / 1000;
  return seconds <= 0 ? 'now' : `in ${duration(Math.max(1, Math.round(seconds)))}`;
};

export const OUTCOMES = {
  accepted: ['Waiting', 'info'], delivered: ['Delivered', 'good'], filtered: ['Filtered', ''], rejected: ['Rejected', 'bad'], refused: ['Refused', 'bad'], retry: ['Retrying', 'warn'],
  retrying: ['Retrying', 'warn'], queued: ['Waiting', 'info'], dead: ['Dead letter', 'bad'], expired: ['Expired', 'warn'], deduplicated: ['Duplicate', ''], purged: ['Purged', ''], dropped: ['Dropped', ''],
  quarantined: ['Quarantined', 'bad'],
};
export const LANES = { active: ['Delivering', 'good'], backing_off: ['Backing off', 'warn'], suspended: ['Suspended', 'bad'], paused: ['Paused', ''] };
const humane = (code) => {
  const words = String(code || '').replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
};
const PROPER = { gpc: 'GPC signal', tiktok_auth: 'TikTok: credentials', tiktok_rejected: 'TikTok: refused', tiktok_throttled: 'TikTok: throttled', tiktok_unavailable: 'TikTok: unavailable', b2b_saas: 'B2B / SaaS', bot: 'Bots' };
export const label = (code) => PROPER[code] || humane(code);
export const chip = (text, kind = '', dot = false, title) => h('span', { class: `chip ${kind}`, title }, dot && h('span', { class: 'dot' }), text);
export const outcome = (code) => {
  const [text, kind] = OUTCOMES[code] || [label(code), ''];
  return chip(text, kind, true);
};
export const laneChip = (state) => {
  const [text, kind] = LANES[state] || [label(state || 'idle'), ''];
  return chip(text, kind, true);
};
