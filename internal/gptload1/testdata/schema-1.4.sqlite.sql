-- The tables of GPT-Load 1.4 on SQLite, as far as they are read.
CREATE TABLE `system_settings` (
  `id` integer PRIMARY KEY AUTOINCREMENT, `setting_key` varchar(255) NOT NULL UNIQUE, `setting_value` text NOT NULL,
  `description` varchar(512), `created_at` datetime, `updated_at` datetime
);
CREATE TABLE `groups` (
  `id` integer PRIMARY KEY AUTOINCREMENT, `name` varchar(255) NOT NULL UNIQUE, `display_name` varchar(255), `proxy_keys` text,
  `description` varchar(512), `group_type` varchar(50) DEFAULT 'standard', `upstreams` json NOT NULL, `validation_endpoint` varchar(255),
  `channel_type` varchar(50) NOT NULL, `sort` integer DEFAULT 0, `test_model` varchar(255) NOT NULL, `param_overrides` json, `config` json,
  `header_rules` json, `model_redirect_rules` json, `model_redirect_strict` numeric DEFAULT false, `last_validated_at` datetime,
  `created_at` datetime, `updated_at` datetime
);
CREATE TABLE `group_sub_groups` (
  `id` integer PRIMARY KEY AUTOINCREMENT, `group_id` integer NOT NULL, `sub_group_id` integer NOT NULL, `weight` integer DEFAULT 0,
  `created_at` datetime, `updated_at` datetime
);
CREATE TABLE `api_keys` (
  `id` integer PRIMARY KEY AUTOINCREMENT, `key_value` text NOT NULL, `key_hash` varchar(128), `group_id` integer NOT NULL,
  `status` varchar(50) NOT NULL DEFAULT 'active', `notes` varchar(255) DEFAULT '', `request_count` integer NOT NULL DEFAULT 0,
  `failure_count` integer NOT NULL DEFAULT 0, `last_used_at` datetime, `created_at` datetime, `updated_at` datetime
);
CREATE INDEX `idx_api_keys_group_id` ON `api_keys`(`group_id`);
CREATE INDEX `idx_api_keys_key_hash` ON `api_keys`(`key_hash`);
