"""The spool on NATS JetStream: one queue for many pods. Only imported where ``spool.kind`` is ``jetstream``; needs the extra ``[jetstream]``."""
