// A page in TypeScript, never run: what it calls must agree with the types, and what is marked as wrong must not.
import type { Df, Ttq, TtgatewaySent } from '../ttgateway';

const contents = [{ content_id: 42, quantity: 1, price: '9.5' }];
ttq.page();
ttq.page({ content_type: 'product' }, { event_id: 'view-1' });
ttq.track('AddToCart', { value: 9.5, currency: 'EUR', contents, own_property: [1] }, { event_id: 'cart-1' });
ttq.identify({ email: 'alice@example.com', phone_number: '+442079460018', external_id: 7 });
ttq.instance('C4ABCDEF1234567890AB').track('Lead');
ttq.ready(() => undefined);
const heard = ({ status, answer, events }: TtgatewaySent): string => `${status} ${answer?.accepted} ${events[0].messageId}`;
ttq.on('sent', heard);
ttq.once('error', heard);
ttq.off('sent', heard);
ttq.on('track', (event) => event.properties?.value);
ttq.enableCookie();
ttq.disableCookie();
ttq.holdConsent();
ttq.grantConsent();
ttq.revokeConsent();
const waiting: number = ttq.debug(false).waiting;
ttq.load();
ttq.push(['track', 'Contact', { waiting }]);
_df.page('Home', { value: 1 });
_df.track('Order Completed', { order_id: '1' }, { event_id: 'order-1' });
_df.identify('user-1', { email: 'alice@example.com' });
_df.identify({ email: 'alice@example.com' });
_df.group('team-1', { plan: 'pro' });
const handles: [Ttq, Df] = [window.ttq, window._df];

// @ts-expect-error an event has a name
ttq.track();
// @ts-expect-error there is no such event to listen to
ttq.on('nothing', heard);
// @ts-expect-error an id is text
handles[0].track('Lead', {}, { event_id: 7 });
// @ts-expect-error Signal has no consent functions
handles[1].grantConsent();
