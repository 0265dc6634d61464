-- A fleet.db of schema version 7: the one of version 6, as version 7 brought it up to date.
BEGIN TRANSACTION;
CREATE TABLE aliases (
        project VARCHAR NOT NULL, model VARCHAR NOT NULL, alias VARCHAR NOT NULL,
        bundle_id VARCHAR NOT NULL, set_by VARCHAR NOT NULL, approved_by VARCHAR NOT NULL,
        proposed_bundle_id VARCHAR NOT NULL, proposed_by VARCHAR NOT NULL,
        changed_at_s FLOAT NOT NULL, PRIMARY KEY (project, model, alias));
INSERT INTO "aliases" VALUES('default','tiny','production','accb74bae512bd2a86880a24f8bc35ee46004911db1aec8970942efcddd6dae8','ada','bert','','',1700000001.0);
CREATE TABLE assignments (
	device VARCHAR NOT NULL, 
	model VARCHAR NOT NULL, 
	bundle_id VARCHAR NOT NULL, 
	rollout INTEGER NOT NULL, 
	PRIMARY KEY (device, model)
);
INSERT INTO "assignments" VALUES('d1','tiny','accb74bae512bd2a86880a24f8bc35ee46004911db1aec8970942efcddd6dae8',1);
CREATE TABLE audit (
	sequence INTEGER NOT NULL, 
	at_s FLOAT NOT NULL, 
	who VARCHAR NOT NULL, 
	what VARCHAR NOT NULL, 
	subject VARCHAR NOT NULL, 
	detail VARCHAR NOT NULL, 
	hash VARCHAR NOT NULL, project VARCHAR DEFAULT 'default' NOT NULL, 
	PRIMARY KEY (sequence)
);
INSERT INTO "audit" VALUES(1,1700000000.0,'ada','release published','tiny@1','accb74bae512bd2a86880a24f8bc35ee46004911db1aec8970942efcddd6dae8','5bf5bd5fd6b4c240e0244a0ad36f53f168ef24e865b64c7f3422c455bbc381bf','default');
INSERT INTO "audit" VALUES(2,1700000000.0,'ada','token created','0e48fb5a35ae','3 uses, 86400 s','6bd0f1c86e486cefc0e238777ebce330e8c38828cf358d6f6f48496e2aff593e','default');
INSERT INTO "audit" VALUES(3,1700000000.0,'token 0e48fb5a35ae','device enrolled','d1','','cc061445b8d7816acea1df397a36ac675abda23e183aa7ecb3d5fe1c32ea9419','default');
INSERT INTO "audit" VALUES(4,1700000000.0,'token 0e48fb5a35ae','device enrolled','d2','','67a557f19c2fd61843fc67c27ec16d5d053d43df2c4dbbbaedffb3f3ed42fb64','default');
INSERT INTO "audit" VALUES(5,1700000000.0,'root','user added','ada','releaser','1a4de9460aa412be92c2a2a87345d77098a6fe4739d895cec997300a014064fc','default');
INSERT INTO "audit" VALUES(6,1700000000.0,'root','user token created','ada','','9ad6cca6f8c23cf8b222d9009277c01eb0c65232d9f91b9ffe38aec8a627bb8d','default');
INSERT INTO "audit" VALUES(7,1700000000.0,'ada','rollout started','rollout 1','tiny@1 to 2 devices, waves 1,10%,100%','b290c32b47541f525c6a9e14668939ddc9ec26a17a45150db94120292178b35d','default');
CREATE TABLE certificates (
        fingerprint VARCHAR NOT NULL, device VARCHAR NOT NULL, enrolment INTEGER NOT NULL,
        key_hash VARCHAR NOT NULL, issued_at_s FLOAT NOT NULL, not_after_s FLOAT NOT NULL,
        PRIMARY KEY (fingerprint));
CREATE TABLE commands (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, project VARCHAR NOT NULL,
        device VARCHAR NOT NULL, enrolment INTEGER NOT NULL, kind VARCHAR NOT NULL,
        model VARCHAR NOT NULL, status VARCHAR NOT NULL, ordered_at_s FLOAT NOT NULL,
        ordered_by VARCHAR NOT NULL, expires_at_s FLOAT NOT NULL, ended_at_s FLOAT,
        text VARCHAR DEFAULT '' NOT NULL, upload_bytes INTEGER DEFAULT 0 NOT NULL);
CREATE TABLE deliveries (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, project VARCHAR NOT NULL,
        notifier VARCHAR NOT NULL, message_id VARCHAR NOT NULL, at_s FLOAT NOT NULL,
        topic VARCHAR NOT NULL, body VARCHAR NOT NULL, attempts INTEGER NOT NULL,
        standing VARCHAR NOT NULL, error VARCHAR NOT NULL);
CREATE TABLE devices (
	name VARCHAR NOT NULL, 
	secret_hash VARCHAR NOT NULL, 
	enrolment INTEGER NOT NULL, 
	enrolled_at_s FLOAT NOT NULL, 
	last_seen_s FLOAT, 
	is_revoked BOOLEAN NOT NULL, 
	revision INTEGER NOT NULL, timezone VARCHAR DEFAULT 'UTC' NOT NULL, project VARCHAR DEFAULT 'default' NOT NULL, 
	PRIMARY KEY (name), 
	UNIQUE (secret_hash)
);
INSERT INTO "devices" VALUES('d1','3f1f6f414e0b64c7b9083999db8b055d864d51a8d907cef8db7f7d2ee2f8873f',1,1700000000.0,NULL,0,3,'UTC','default');
INSERT INTO "devices" VALUES('d2','0488e538211723282579b460af94dbc5263873b6a9eb8667676fe20edd649ed0',1,1700000000.0,NULL,0,2,'UTC','default');
CREATE TABLE enrol_tokens (
	token_hash VARCHAR NOT NULL, 
	created_at_s FLOAT NOT NULL, 
	created_by VARCHAR NOT NULL, 
	expires_at_s FLOAT NOT NULL, 
	uses_left INTEGER NOT NULL, 
	labels VARCHAR NOT NULL, device VARCHAR DEFAULT '' NOT NULL, needs_approval BOOLEAN DEFAULT 0 NOT NULL, project VARCHAR DEFAULT 'default' NOT NULL, 
	PRIMARY KEY (token_hash)
);
INSERT INTO "enrol_tokens" VALUES('0e48fb5a35ae4fd4c7218fb23ff597569a2bcaa13c7e673785bd073229960f51',1700000000.0,'ada',1700086400.0,1,'{"site":"berlin"}','',0,'default');
CREATE TABLE enrolments (
        device VARCHAR NOT NULL, asked_by VARCHAR NOT NULL, key_hash VARCHAR NOT NULL,
        labels VARCHAR NOT NULL, timezone VARCHAR NOT NULL, may_replace BOOLEAN NOT NULL,
        asked_at_s FLOAT NOT NULL, decision VARCHAR NOT NULL, decided_by VARCHAR NOT NULL, project VARCHAR DEFAULT 'default' NOT NULL,
        PRIMARY KEY (device));
CREATE TABLE history (
	id INTEGER NOT NULL, 
	rollout INTEGER NOT NULL, 
	at_s FLOAT NOT NULL, 
	text VARCHAR NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "history" VALUES(1,1,1700000000.0,'wave 1 opened');
CREATE TABLE identities (
        issuer VARCHAR NOT NULL, subject VARCHAR NOT NULL, "user" VARCHAR NOT NULL,
        created_at_s FLOAT NOT NULL, PRIMARY KEY (issuer, subject));
CREATE TABLE labels (
	device VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	value VARCHAR NOT NULL, 
	PRIMARY KEY (device, "key")
);
INSERT INTO "labels" VALUES('d1','site','berlin');
INSERT INTO "labels" VALUES('d2','site','berlin');
CREATE TABLE members (
	rollout INTEGER NOT NULL, 
	device VARCHAR NOT NULL, 
	wave INTEGER NOT NULL, 
	standing VARCHAR NOT NULL, 
	since_elapsed_s FLOAT NOT NULL, 
	reason VARCHAR NOT NULL, 
	previous_bundle_id VARCHAR NOT NULL, 
	previous_rollout INTEGER NOT NULL, 
	PRIMARY KEY (rollout, device)
);
INSERT INTO "members" VALUES(1,'d1',0,'ordered',0.0,'','',0);
INSERT INTO "members" VALUES(1,'d2',1,'waiting',0.0,'','',0);
CREATE TABLE memberships (
        project VARCHAR NOT NULL, "user" VARCHAR NOT NULL, role VARCHAR NOT NULL,
        since_s FLOAT NOT NULL, source VARCHAR DEFAULT '' NOT NULL, PRIMARY KEY (project, "user"));
INSERT INTO "memberships" VALUES('default','ada','releaser',1700000000.0,'');
CREATE TABLE meta (
	"key" VARCHAR NOT NULL, 
	value VARCHAR NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "meta" VALUES('schema_version','7');
CREATE TABLE notifiers (
        project VARCHAR NOT NULL, name VARCHAR NOT NULL, url VARCHAR NOT NULL,
        secret VARCHAR NOT NULL, topics VARCHAR NOT NULL, hears_fleet BOOLEAN NOT NULL,
        created_at_s FLOAT NOT NULL, created_by VARCHAR NOT NULL, failures INTEGER NOT NULL,
        next_try_s FLOAT NOT NULL, last_error VARCHAR NOT NULL, PRIMARY KEY (project, name));
CREATE TABLE oidc_logins (
        state_hash VARCHAR NOT NULL, nonce VARCHAR NOT NULL, verifier VARCHAR NOT NULL,
        expires_at_s FLOAT NOT NULL, PRIMARY KEY (state_hash));
CREATE TABLE projects (
        name VARCHAR NOT NULL, created_at_s FLOAT NOT NULL, created_by VARCHAR NOT NULL,
        PRIMARY KEY (name));
INSERT INTO "projects" VALUES('default',0.0,'');
CREATE TABLE recipients (
        device VARCHAR NOT NULL, recipient VARCHAR NOT NULL, PRIMARY KEY (device));
CREATE TABLE records (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	device VARCHAR NOT NULL, 
	enrolment INTEGER NOT NULL, 
	sequence INTEGER NOT NULL, 
	kind VARCHAR NOT NULL, 
	received_at_s FLOAT NOT NULL, 
	content BLOB NOT NULL, 
	UNIQUE (device, enrolment, sequence)
);
CREATE TABLE releases (
        project VARCHAR NOT NULL, bundle_id VARCHAR NOT NULL, model VARCHAR NOT NULL,
        version VARCHAR NOT NULL, format VARCHAR NOT NULL, precision VARCHAR NOT NULL,
        file_sha256 VARCHAR NOT NULL, file_size_bytes INTEGER NOT NULL,
        published_at_s FLOAT NOT NULL, published_by VARCHAR NOT NULL, signers VARCHAR NOT NULL,
        provenance VARCHAR NOT NULL, PRIMARY KEY (project, bundle_id),
        UNIQUE (project, model, version));
INSERT INTO "releases" VALUES('default','accb74bae512bd2a86880a24f8bc35ee46004911db1aec8970942efcddd6dae8','tiny','1','reference','fp32','80994bd4bd9d40afae608d24e98e9334942e9e4773b0f68fae7d90e88a88ca75',10240,1700000000.0,'ada','["816219aecb29969fa104948678257af13ac9421951da3e14ccf28949f33c3126"]','{"recipe":"none","dataset":"dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd","run":"rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr","variant":"vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv"}');
CREATE TABLE reports (
	device VARCHAR NOT NULL, 
	model VARCHAR NOT NULL, 
	enrolment INTEGER NOT NULL, 
	sequence INTEGER NOT NULL, 
	at_s FLOAT NOT NULL, 
	state VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, 
	bundle_id VARCHAR NOT NULL, 
	version VARCHAR NOT NULL, 
	running_bundle_id VARCHAR NOT NULL, 
	running_version VARCHAR NOT NULL, 
	PRIMARY KEY (device, model)
);
CREATE TABLE rollouts (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	model VARCHAR NOT NULL, 
	bundle_id VARCHAR NOT NULL, 
	"query" VARCHAR NOT NULL, 
	waves VARCHAR NOT NULL, 
	limits VARCHAR NOT NULL, 
	created_at_s FLOAT NOT NULL, 
	created_by VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	is_watched BOOLEAN NOT NULL, 
	reason VARCHAR NOT NULL, 
	open_wave INTEGER NOT NULL, 
	ticked_at_s FLOAT NOT NULL, 
	elapsed_s FLOAT NOT NULL, 
	passed_at_elapsed_s FLOAT
, allowance FLOAT DEFAULT 0 NOT NULL, options VARCHAR DEFAULT '{}' NOT NULL, project VARCHAR DEFAULT 'default' NOT NULL);
INSERT INTO "rollouts" VALUES(1,'tiny','accb74bae512bd2a86880a24f8bc35ee46004911db1aec8970942efcddd6dae8','','1,10%,100%','{"success_percent":95.0,"error_percent":10.0,"error_min_count":2,"min_reached_percent":80.0,"deadline_s":900.0,"soak_s":60.0,"returns_on_abort":true}',1700000000.0,'ada','running',1,'',0,1700000000.0,0.0,NULL,0.0,'{}','default');
CREATE TABLE sessions (
        session_hash VARCHAR NOT NULL, "user" VARCHAR NOT NULL, created_at_s FLOAT NOT NULL,
        expires_at_s FLOAT NOT NULL, PRIMARY KEY (session_hash));
CREATE TABLE user_tokens (
	token_hash VARCHAR NOT NULL, 
	user VARCHAR NOT NULL, 
	created_at_s FLOAT NOT NULL, 
	expires_at_s FLOAT NOT NULL, scopes VARCHAR DEFAULT '' NOT NULL, project VARCHAR DEFAULT 'default' NOT NULL, 
	PRIMARY KEY (token_hash)
);
INSERT INTO "user_tokens" VALUES('9422da5fdaa2c403f890a699512114abde570c4fe3648df35b8a19262d8634e1','ada',1700000000.0,1700003600.0,'','default');
CREATE TABLE users (
	name VARCHAR NOT NULL, 
	created_at_s FLOAT NOT NULL, password VARCHAR DEFAULT '' NOT NULL, failures INTEGER DEFAULT 0 NOT NULL, locked_until_s FLOAT DEFAULT 0 NOT NULL, is_disabled BOOLEAN DEFAULT 0 NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "users" VALUES('ada',1700000000.0,'',0,0.0,0);
CREATE INDEX ix_devices_revision ON devices (revision);
CREATE INDEX records_by_kind ON records (kind, id);
CREATE INDEX members_by_device ON members (device, standing);
CREATE INDEX history_by_rollout ON history (rollout, id);
CREATE INDEX certificates_by_device ON certificates (device, issued_at_s);
CREATE INDEX certificates_by_key ON certificates (key_hash);
CREATE INDEX labels_by_value ON labels (key, value, device);
CREATE INDEX memberships_by_user ON memberships ("user");
CREATE INDEX devices_by_project ON devices (project, name);
CREATE INDEX commands_by_device ON commands (device, status, id);
CREATE INDEX deliveries_by_notifier ON deliveries (project, notifier, standing, id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('rollouts',1);
COMMIT;
