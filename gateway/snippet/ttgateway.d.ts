/** What pages may call once ttgateway's client script is on them. */

export interface TtgatewayOptions {
  /** Deduplicates with the same event from elsewhere; made here if absent. */
  event_id?: string;
}

export interface TtgatewayContent {
  content_id?: string | number;
  content_name?: string;
  content_category?: string;
  brand?: string;
  price?: number | string;
  quantity?: number;
  [more: string]: unknown;
}

export interface TtgatewayProperties {
  value?: number | string;
  currency?: string;
  order_id?: string;
  contents?: TtgatewayContent[];
  content_type?: 'product' | 'product_group' | 'hotel' | 'flight' | 'destination' | 'vehicle';
  search_string?: string;
  [more: string]: unknown;
}

export interface TtgatewayPerson {
  /** Hashed in the browser where it can; an SHA-256 in hexadecimal passes as it is. */
  email?: string;
  /** With a leading `+` hashed in the browser; without one, at the edge by the pipeline's default region. */
  phone_number?: string;
  external_id?: string | number;
  first_name?: string;
  last_name?: string;
  city?: string;
  state?: string;
  country?: string;
  zip_code?: string;
  [more: string]: unknown;
}

export interface TtgatewayEvent {
  type: 'track' | 'page' | 'group';
  event: string;
  messageId: string;
  timestamp: string;
  properties?: TtgatewayProperties;
  context: Record<string, unknown>;
}

export interface TtgatewaySent {
  /** The gateway's HTTP status. */
  status: number;
  /** Its answer: how many events were accepted, filtered, rejected. */
  answer?: { success: boolean; accepted?: number; filtered?: number; rejected?: { index: number; reason: string; message: string }[] };
  events: TtgatewayEvent[];
}

interface TtgatewayListeners {
  track: TtgatewayEvent;
  page: TtgatewayEvent;
  group: TtgatewayEvent;
  sent: TtgatewaySent;
  error: TtgatewaySent;
}

export interface Ttq {
  page(properties?: TtgatewayProperties, options?: TtgatewayOptions): void;
  track(name: string, properties?: TtgatewayProperties, options?: TtgatewayOptions): void;
  /** Says who the visitor is, for the events after this call. */
  identify(person: TtgatewayPerson): void;
  /** The same functions for one pixel code only. */
  instance(pixelCode: string): Ttq;
  ready(callback: () => void): void;
  on<Name extends keyof TtgatewayListeners>(name: Name, listener: (value: TtgatewayListeners[Name]) => void): void;
  once<Name extends keyof TtgatewayListeners>(name: Name, listener: (value: TtgatewayListeners[Name]) => void): void;
  off<Name extends keyof TtgatewayListeners>(name: Name, listener: (value: TtgatewayListeners[Name]) => void): void;
  enableCookie(): void;
  /** Requests neither carry nor set cookies from now on. */
  disableCookie(): void;
  /** Keeps events in memory until grantConsent or revokeConsent, whatever a banner says. */
  holdConsent(): void;
  grantConsent(): void;
  /** Forgets what waits, here and at the gateway, and expires its cookies. */
  revokeConsent(): void;
  /** Writes to the console what happens (`debug(false)` stops it), and says how things stand. */
  debug(enabled?: boolean): { waiting: number; consent: Record<string, boolean>; beside: boolean };
  /** Does nothing: kept for pages that call the pixel's. */
  load(pixelCode?: string): void;
  push(call: [method: string, ...given: unknown[]]): void;
}

export interface Df {
  page(properties?: TtgatewayProperties): void;
  page(name: string, properties?: TtgatewayProperties, options?: TtgatewayOptions): void;
  track(name: string, properties?: TtgatewayProperties, options?: TtgatewayOptions): void;
  identify(person: TtgatewayPerson): void;
  identify(userId: string | number | null, person?: TtgatewayPerson): void;
  group(groupId: string, traits?: Record<string, unknown>): void;
  push(call: [method: string, ...given: unknown[]]): void;
}

declare global {
  interface Window {
    ttq: Ttq;
    _df: Df;
  }
  const ttq: Ttq;
  const _df: Df;
}
