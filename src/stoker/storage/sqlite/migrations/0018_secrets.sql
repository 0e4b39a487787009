-- Secrets as ciphertexts. `key`: the id of the key that each lies under.
CREATE TABLE secret (
    namespace BIGINT NOT NULL,
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    sealed BLOB NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (namespace, name)
);
