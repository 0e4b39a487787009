-- Secrets as ciphertexts. `key`: the id of the key that each lies under.
CREATE TABLE secret (
    namespace BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    sealed BYTEA NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (namespace, name)
);
