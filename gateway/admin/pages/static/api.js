// The one way to the JSON API. Law: every answer that is not 2xx becomes an ApiError with words a person can use; a lost session leads to the sign-in page and back.
const BASE = '/api/v1/';

export class ApiError extends Error {
  constructor(status, body, retryAfter) {
    const error = body?.error && typeof body.error === 'object' ? body.error : body || {};
    super(error.message || error.detail || (status ? `The gateway answered ${status}.` : 'The gateway does not answer. Is it still running?'));
    this.status = status;
    this.code = error.code || error.reason || '';
    this.problems = Array.isArray(error.problems) ? error.problems : [];
    this.retryAfter = Number(retryAfter) || 0;
  }
}

export const url = (path, query = {}) => {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined && value !== null && value !== '') parameters.set(name, value);
  const asked = String(parameters);
  return BASE + path + (asked ? `?${asked}` : '');
};

const ask = async (method, path, { query, body, etag } = {}) => {
  const headers = { Accept: 'application/json' };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (etag) headers['If-Match'] = etag;
  let answer;
  try {
    answer = await fetch(url(path, query), { method, headers, body: body === undefined ? undefined : JSON.stringify(body), credentials: 'same-origin', cache: 'no-store' });
  } catch {
    throw new ApiError(0);
  }
  const text = answer.status === 204 ? '' : await answer.text();
  let found = null;
  try {
    found = text ? JSON.parse(text) : null;
  } catch {
    found = answer.ok ? text : null;
  }
  if (answer.status === 401 && document.body.dataset.page !== 'login') {
    location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
    return new Promise(() => {}); // the page is leaving
  }
  if (!answer.ok) throw new ApiError(answer.status, found, answer.headers.get('Retry-After'));
  return { body: found, etag: answer.headers.get('ETag') || found?.etag || '' };
};

export const get = async (path, query) => (await ask('GET', path, { query })).body;
/** With the ETag that a later change has to name. */
export const read = (path, query) => ask('GET', path, { query });
export const post = async (path, body = {}, etag) => (await ask('POST', path, { body, etag })).body;
export const replace = async (path, body, etag) => (await ask('PUT', path, { body, etag })).body;
export const remove = async (path, etag) => (await ask('DELETE', path, { etag })).body;
/** All items of a paged list, up to a bound. */
export const all = async (path, query = {}, most = 500) => {
  const items = [];
  let cursor;
  do {
    const page = await get(path, { limit: 100, ...query, cursor });
    items.push(...(page.items || []));
    cursor = page.next || page.next_cursor;
  } while (cursor && items.length < most);
  return items;
};
export const id = (text) => encodeURIComponent(text);
