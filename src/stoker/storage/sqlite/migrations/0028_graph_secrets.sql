-- Secrets that belong to one graph, as ciphertexts; see those of namespaces.
CREATE TABLE graph_secret (
    namespace BIGINT NOT NULL,
    graph TEXT NOT NULL,
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    sealed BLOB NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (namespace, graph, name)
);
