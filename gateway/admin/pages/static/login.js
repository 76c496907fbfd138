// Signing in. A login link carries the token in its fragment, which no request and no log ever holds; it is taken out of the address at once.
import { post } from './api.js';
import { $, put } from './dom.js';

const wrong = (text) => {
  put($('token-error'), text);
  if (text) $('token').setAttribute('aria-invalid', 'true');
  else $('token').removeAttribute('aria-invalid');
};
/** Only a path of ours: never a page of somebody else. */
const onward = () => {
  const next = new URLSearchParams(location.search).get('next') || '/';
  const found = new URL(next, location.origin);
  return found.origin === location.origin && next.startsWith('/') && !next.startsWith('//') ? found.pathname + found.search : '/';
};
const sign = async (token) => {
  wrong('');
  try {
    await post('session', { token });
    location.replace(onward());
  } catch (error) {
    if (error.status === 429) wrong(`Too many attempts. Try again in ${error.retryAfter || 'a few'} seconds.`);
    else wrong(error.status === 401 || error.status === 403 ? 'No token of the configuration is like this one.' : error.message);
    $('token').focus();
  }
};
$('login').addEventListener('submit', (event) => {
  event.preventDefault();
  const token = $('token').value.trim();
  if (token) sign(token);
  else {
    wrong('Enter a token.');
    $('token').focus();
  }
});
const linked = () => {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (!token) return;
  history.replaceState(null, '', location.pathname + location.search);
  sign(token);
};
// a link that is opened where this page is open already changes the fragment and loads nothing
addEventListener('hashchange', linked);
linked();
