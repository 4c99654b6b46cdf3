-- Numbers of deleted pageservers, which can't be used again.
CREATE TABLE node_tombstones (
    node_id BIGINT PRIMARY KEY
);
