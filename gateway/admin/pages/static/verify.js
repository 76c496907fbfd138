// Test and verify: one test event through the real path, and the manual's four steps as a checklist that ticks itself.
import { get, id, post } from './api.js';
import { h, icon, put } from './dom.js';
import { duration, left, plural, time } from './format.js';
import { banner, button, failed, guard, json } from './ui.js';
import { field, place } from './forms.js';

const STEPS = {
  code_set: ['Set a test event code', 'Copy it from the pixel’s Test event tab in TikTok and save it in this integration’s settings.'],
  event_triggered: ['Trigger an event', 'Open your site, accept the cookies and do something, or send the test event here.'],
  delivered: ['See it arrive', 'In Live events here, and in TikTok’s test tab within seconds.'],
  code_cleared: ['Remove the code', 'Until then events are not in your reports.'],
};
const EVERY_MS = 2000;

const result = (found) => {
  const code = found.code ?? found.answer?.code ?? found.http_status;
  const good = found.verdict === 'delivered' || String(code) === '0';
  const message = found.message || found.answer?.message || '';
  const sent = found.sent || found.payload;
  return h('div', { class: 'stack tight' }, banner(good ? 'good' : 'bad', good ? 'TikTok took it' : `TikTok answered ${code}`, [message, found.cure ? [' – ', h('strong', {}, 'What to do: '), found.cure] : '', typeof found.seconds === 'number' ? ` (${duration(found.seconds)})` : '']), sent && h('details', {}, h('summary', {}, 'What was sent'), json(sent, { name: 'sent event' })));
};
const marks = (step, current) => h('li', { class: 'step' }, h('span', { class: `mark ${step.done ? 'good' : current ? 'info' : ''}` }, icon(step.done ? 'check' : 'clock')), h('div', {}, h('h3', {}, STEPS[step.id]?.[0] || step.title || step.id, h('span', { class: 'sr' }, step.done ? ' (done)' : ' (open)')), h('p', { class: 'soft' }, step.detail || STEPS[step.id]?.[1] || '', step.at ? [' ', time(step.at)] : '')));

/** {root, stop}: stop ends the polling. */
export const verify = (entry, changed) => {
  const answer = h('div', { role: 'status' });
  const list = h('ol', { class: 'steps' });
  const summary = h('div');
  const test = field({ name: 'test_event_code', text: 'Test event code', value: entry.test_event_code || '', placeholder: 'TEST12345', required: true, help: 'Keeps the event out of your reports. From the pixel’s Test event tab.' });
  const send = guard(async (event) => {
    event.preventDefault();
    put(summary);
    if (!test.read()) {
      test.error('A code is required: without it the event would count.');
      test.input.focus();
      return;
    }
    put(answer, h('p', { class: 'soft' }, 'Sending …'));
    try {
      put(answer, result(await post(`integrations/${id(entry.id)}/test`, { test_event_code: test.read() })));
    } catch (error) {
      put(answer);
      place(error, [test], summary);
    }
    refresh();
  });
  let before = '';
  const refresh = async () => {
    if (document.hidden) return;
    try {
      const found = await get(`integrations/${id(entry.id)}/verify`);
      const key = JSON.stringify(found);
      if (key === before) return;
      if (before) changed?.();
      before = key;
      const current = found.steps.findIndex((step) => !step.done);
      put(list, found.steps.map((step, n) => marks(step, n === current)));
    } catch (error) {
      if (!before) put(list, h('li', { class: 'soft' }, error.message));
    }
  };
  refresh().catch(failed);
  const timer = setInterval(refresh, EVERY_MS);
  const lane = entry.lane || {};
  const test_ = h('section', { class: 'card stack' }, h('div', {}, h('h2', {}, 'Send a test event'), h('p', { class: 'help' }, 'One page view through mapping and delivery to TikTok, with its answer in place.')), h('form', { class: 'stack', novalidate: true, on: { submit: send } }, summary, test.root, h('div', {}, button('Send test event', { kind: 'primary', type: 'submit', sign: 'send', operate: true }))), answer);
  const checklist = h('section', { class: 'card stack' }, h('div', {}, h('h2', {}, 'Checklist'), h('p', { class: 'help' }, 'It ticks itself as things happen.')), list);
  const trouble = h('section', { class: 'card stack' }, h('h2', {}, 'If nothing arrives'), h('ul', { class: 'findings' },
      h('li', { class: entry.enabled === false ? 'bad' : 'good' }, icon(entry.enabled === false ? 'warn' : 'check'), entry.enabled === false ? 'The integration is disabled.' : 'The integration is enabled.'),
      h('li', { class: entry.pipelines?.length ? 'good' : 'bad' }, icon(entry.pipelines?.length ? 'check' : 'warn'), entry.pipelines?.length ? `It runs on ${entry.pipelines.join(', ')}.` : 'It runs on no pipeline: tick one in its settings.'),
      h('li', {}, icon('shield'), h('span', {}, 'Is consent granted? ', h('a', { href: `/live?integration=${encodeURIComponent(entry.id)}&outcome=filtered` }, 'Filtered events'), ' name the signal they lacked.')),
      h('li', { class: lane.state === 'suspended' ? 'bad' : '' }, icon('warn'), h('span', {}, '40001, 40100: TikTok refuses the credentials – regenerate the token (40100 may also be its rate limit). 40002: Signal’s manual reads it as an invalid pixel code, TikTok’s tables as invalid parameters; check both.', lane.next_try ? [' Next try ', left(lane.next_try), '.'] : '')),
      entry.queued ? h('li', {}, icon('clock'), `${plural(entry.queued, 'event')} waiting in its queue.`) : null));
  const root = h('div', { class: 'grid two' }, h('div', { class: 'stack' }, test_, trouble), checklist);
  return { root, stop: () => clearInterval(timer) };
};
