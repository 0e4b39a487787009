-- Secrets that belong to one graph, as ciphertexts; see those of namespaces.
CREATE TABLE graph_secret (
    namespace BIGINT NOT NULL,
    graph TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    sealed BYTEA NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (namespace, graph, name)
);
