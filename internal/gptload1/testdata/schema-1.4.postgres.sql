-- The tables of GPT-Load 1.4 on PostgreSQL, as far as they are read.
CREATE TABLE "system_settings" (
  "id" bigserial PRIMARY KEY, "setting_key" varchar(255) NOT NULL UNIQUE, "setting_value" text NOT NULL,
  "description" varchar(512), "created_at" timestamptz, "updated_at" timestamptz
);
CREATE TABLE "groups" (
  "id" bigserial PRIMARY KEY, "name" varchar(255) NOT NULL UNIQUE, "display_name" varchar(255), "proxy_keys" text,
  "description" varchar(512), "group_type" varchar(50) DEFAULT 'standard', "upstreams" json NOT NULL, "validation_endpoint" varchar(255),
  "channel_type" varchar(50) NOT NULL, "sort" bigint DEFAULT 0, "test_model" varchar(255) NOT NULL, "param_overrides" json, "config" json,
  "header_rules" json, "model_redirect_rules" json, "model_redirect_strict" boolean DEFAULT false, "last_validated_at" timestamptz,
  "created_at" timestamptz, "updated_at" timestamptz
);
CREATE TABLE "group_sub_groups" (
  "id" bigserial PRIMARY KEY, "group_id" bigint NOT NULL, "sub_group_id" bigint NOT NULL, "weight" bigint DEFAULT 0,
  "created_at" timestamptz, "updated_at" timestamptz
);
CREATE TABLE "api_keys" (
  "id" bigserial PRIMARY KEY, "key_value" text NOT NULL, "key_hash" varchar(128), "group_id" bigint NOT NULL,
  "status" varchar(50) NOT NULL DEFAULT 'active', "notes" varchar(255) DEFAULT '', "request_count" bigint NOT NULL DEFAULT 0,
  "failure_count" bigint NOT NULL DEFAULT 0, "last_used_at" timestamptz, "created_at" timestamptz, "updated_at" timestamptz
);
CREATE INDEX "idx_api_keys_group_id" ON "api_keys" ("group_id");
