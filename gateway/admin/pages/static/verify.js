// Test and verify: one test event through the real path, and the manual's four steps as a checklist that ticks itself.
import { get, id, post } from './api.js';
import { h, icon, put } from './dom.js';
import { duration, left, plural, time } from './format.js';
import { banner, button, failed, guard, json, mayEdit, toast } from './ui.js';
import { field, place } from './forms.js';
import { change } from './entries.js';

const STEPS = {
  code_set: ['Set a test event code', 'Copy it from the pixel’s Test event tab in TikTok, enter it here and let all events carry it.'],
  event_triggered: ['Trigger an event', 'Open your site, accept the cookies and look at a page.'],
  delivered: ['See it arrive', 'Under Live events, and in TikTok’s test tab within seconds.'],
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
const marks = (step, current, next) => h('li', { class: 'step' }, h('span', { class: `mark ${step.done ? 'good' : current ? 'info' : ''}` }, icon(step.done ? 'check' : 'clock')), h('div', {}, h('h3', {}, STEPS[step.id]?.[0] || step.title || step.id, h('span', { class: 'sr' }, step.done ? ' (done)' : ' (open)')), h('p', { class: 'soft' }, (step.done && step.detail) || STEPS[step.id]?.[1] || '', step.at ? [' ', time(step.at)] : ''), current && next));
/** In the manual's order: what came through without a code needs none any more, and nothing is cleared that was never set. */
const ordered = (steps) => {
  const arrived = steps.find((step) => step.id === 'delivered')?.done;
  return steps.map((step) => ({ ...step, done: step.id === 'code_set' ? step.done || arrived : step.id === 'code_cleared' ? step.done && arrived : step.done, detail: step.id === 'code_set' && !step.done ? 'Not set now; events have come through.' : step.detail }));
};

/** {root, stop}: stop ends the polling. `changed` is called when a step is done, `reload` after a change made here. */
export const verify = (entry, { changed, reload }) => {
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
  const may = mayEdit() && !entry.declared;
  const set = (code, said) => guard(async () => {
    if (code && !code()) {
      test.error('Enter the code first.');
      test.input.focus();
      return;
    }
    try {
      await change(entry, { test_event_code: code ? code() : null });
    } catch (error) {
      place(error, [test], summary);
      return;
    }
    toast(said);
    await reload();
  });
  const [pipeline] = entry.pipelines || [];
  /** What can be done about a step right here. */
  const nextOf = (step) => ({
    code_set: may && h('div', {}, button('Let all events carry the code', { kind: 'small', edit: true, on: set(test.read, 'Set: events show in TikTok’s test tab') })),
    event_triggered: pipeline && h('div', {}, h('a', { class: 'btn small', href: `/pipelines/${id(pipeline)}#tag` }, 'Show the tag')),
    delivered: h('div', {}, h('a', { class: 'btn small', href: `/live?integration=${id(entry.id)}` }, 'Live events')),
    code_cleared: may && entry.test_event_code && h('div', {}, button('Remove the code', { kind: 'small', edit: true, on: set(null, 'Removed: events count again') })),
  })[step];
  let before = '';
  const refresh = async () => {
    if (document.hidden) return;
    try {
      const found = await get(`integrations/${id(entry.id)}/verify`);
      const key = JSON.stringify(found);
      if (key === before) return;
      if (before) changed?.();
      before = key;
      const steps = ordered(found.steps);
      const current = steps.findIndex((step) => !step.done);
      put(list, steps.map((step, n) => marks(step, n === current, nextOf(step.id))));
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
      entry.has_token === false && h('li', { class: 'bad' }, icon('warn'), 'It has no access token: its events wait.'),
      h('li', { class: entry.pipelines?.length ? 'good' : 'bad' }, icon(entry.pipelines?.length ? 'check' : 'warn'), entry.pipelines?.length ? `It runs on ${entry.pipelines.join(', ')}.` : 'It runs on no pipeline: tick one in its settings.'),
      h('li', {}, icon('shield'), h('span', {}, 'Is consent granted? ', h('a', { href: `/live?integration=${encodeURIComponent(entry.id)}&outcome=filtered` }, 'Filtered events'), ' name the signal they lacked.')),
      h('li', { class: lane.state === 'suspended' ? 'bad' : '' }, icon('warn'), h('span', {}, '40001, 40100: TikTok refuses the credentials – regenerate the token (40100 may also be its rate limit). 40002: Signal’s manual reads it as an invalid pixel code, TikTok’s tables as invalid parameters; check both.', lane.next_try ? [' Next try ', left(lane.next_try), '.'] : '')),
      entry.queued ? h('li', {}, icon('clock'), `${plural(entry.queued, 'event')} waiting in its queue.`) : null));
  const root = h('div', { class: 'grid two' }, h('div', { class: 'stack' }, test_, trouble), checklist);
  return { root, stop: () => clearInterval(timer) };
};
