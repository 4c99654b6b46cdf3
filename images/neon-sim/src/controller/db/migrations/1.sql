-- Pageservers, as they announced themselves.
CREATE TABLE nodes (
    node_id BIGINT PRIMARY KEY,
    scheduling_policy TEXT NOT NULL,
    -- What a re-attach announces, as JSON.
    announced TEXT NOT NULL
);

-- Whose database this is: the generations of all shards are counted here and nowhere else.
CREATE TABLE tenant_shards (
    tenant_id TEXT NOT NULL,
    shard_number INT NOT NULL,
    shard_count INT NOT NULL,
    stripe_size BIGINT NOT NULL,
    -- Null until the first attach.
    generation BIGINT,
    -- To whom that generation was given.
    generation_pageserver BIGINT,
    placement_policy TEXT NOT NULL,
    scheduling_policy TEXT NOT NULL,
    preferred_az_id TEXT,
    config TEXT NOT NULL,
    PRIMARY KEY (tenant_id, shard_number, shard_count)
);
CREATE INDEX tenant_shards_by_pageserver ON tenant_shards (generation_pageserver);

CREATE TABLE safekeepers (
    id BIGINT PRIMARY KEY,
    scheduling_policy TEXT NOT NULL,
    -- The body of the upsert, as JSON.
    record TEXT NOT NULL
);

-- Which safekeepers have a timeline.
CREATE TABLE timelines (
    tenant_id TEXT NOT NULL,
    timeline_id TEXT NOT NULL,
    start_lsn TEXT NOT NULL,
    generation BIGINT NOT NULL,
    sk_set BIGINT[] NOT NULL,
    new_sk_set BIGINT[],
    PRIMARY KEY (tenant_id, timeline_id)
);

-- What a safekeeper that didn't answer still has to be told.
CREATE TABLE safekeeper_pending_ops (
    sk_id BIGINT NOT NULL,
    tenant_id TEXT NOT NULL,
    -- Empty: all timelines of the tenant.
    timeline_id TEXT NOT NULL,
    op TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (sk_id, tenant_id, timeline_id)
);

-- The leader, at most one row.
CREATE TABLE controllers (
    address TEXT PRIMARY KEY,
    started_at TEXT NOT NULL
);
