-- The tables of the first GPT-Load 1.0 betas on MySQL: every column that came later is missing.
CREATE TABLE `system_settings` (
  `id` bigint unsigned AUTO_INCREMENT PRIMARY KEY, `setting_key` varchar(255) NOT NULL UNIQUE, `setting_value` text NOT NULL, `description` varchar(512)
);
CREATE TABLE `groups` (
  `id` bigint unsigned AUTO_INCREMENT PRIMARY KEY, `name` varchar(255) NOT NULL UNIQUE, `display_name` varchar(255), `description` varchar(512),
  `upstreams` json NOT NULL, `channel_type` varchar(50) NOT NULL, `sort` bigint DEFAULT 0, `test_model` varchar(255) NOT NULL,
  `param_overrides` json, `config` json
);
CREATE TABLE `api_keys` (
  `id` bigint unsigned AUTO_INCREMENT PRIMARY KEY, `key_value` varchar(512) NOT NULL, `group_id` bigint NOT NULL,
  `status` varchar(50) NOT NULL DEFAULT 'active', `request_count` bigint NOT NULL DEFAULT 0, `failure_count` bigint NOT NULL DEFAULT 0,
  `last_used_at` datetime(3) NULL
);
CREATE UNIQUE INDEX `idx_group_key` ON `api_keys`(`key_value`,`group_id`);
