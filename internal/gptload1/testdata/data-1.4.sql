-- One installation with a bit of everything. Backquotes become what the database wants.
INSERT INTO `system_settings` (`setting_key`, `setting_value`) VALUES
  ('app_url', 'http://localhost:3001'), ('proxy_keys', 'sk-one, sk-two,sk-one,bad key'), ('request_log_retention_days', '30'),
  ('max_retries', '3'), ('blacklist_threshold', '2000'), ('failover_status_codes', '400-403,405-999'), ('request_timeout', 'abc'),
  ('server_read_timeout', '60'), ('enable_request_body_logging', 'true'), ('proxy_url', 'http://user:hunter2@10.0.0.1:8080'), ('made_up', 'x');

INSERT INTO `groups` (`id`, `name`, `display_name`, `description`, `group_type`, `channel_type`, `sort`, `upstreams`, `test_model`,
  `validation_endpoint`, `proxy_keys`, `param_overrides`, `config`, `header_rules`, `model_redirect_rules`, `model_redirect_strict`) VALUES
  (1, 'openai', 'Öffentlich', 'two addresses', 'standard', 'openai', 20,
    '[{"url":"https://api.openai.com/","weight":2000},{"url":"https://user:hunter2@mirror.example/v1?x=1","weight":1}]', 'gpt-4o-mini',
    '/v1/models?limit=1', 'sk-team-a, sk-team-b', '{"temperature":0.70,"a.b":null,"big":12345678901234567890}',
    '{"max_retries":5,"connect_timeout":9999,"failover_status_codes":"429,500-999","proxy_url":"socks5://u:hunter2@10.0.0.2:1080","max_idle_conns":null,"nonsense":1}',
    '[{"key":"X-Team","value":"${GROUP_NAME} ${CLIENT_IP}","action":"set"},{"key":"User-Agent","value":"","action":"remove"},{"key":"Host","value":"x","action":"set"}]',
    '{"gpt-4":"gpt-4o","gpt-3.5-turbo":"gpt-4o-mini"}', true),
  (2, 'gemini', NULL, NULL, NULL, 'gemini', 0, '[{"url":"https://generativelanguage.googleapis.com","weight":1}]', 'gemini-2.0-flash', NULL, NULL,
    NULL, NULL, NULL, NULL, NULL),
  (3, 'claude', '', '', 'standard', 'anthropic', 10, '[{"url":"https://api.anthropic.com","weight":1}]', 'claude-3-5-haiku', '', '', '{}', '{}', '[]', '{}', false),
  (4, 'all', 'All', '', 'aggregate', 'openai', 5, '[]', '-', '', 'sk-all', NULL, '{"max_retries":1}', '[]', '{}', false),
  (5, 'openai-b', '', '', 'standard', 'openai', 30, '[{"url":"https://b.example","weight":0}]', 'm', '', '', NULL, '{"max_retries":5}', NULL, NULL, false),
  (6, 'azure', '', '', 'standard', 'azure', 0, '[{"url":"https://azure.example","weight":1}]', 'm', '', '', NULL, NULL, NULL, NULL, false),
  (7, 'responses-with-a-name-that-is-longer-than-the-sixty-four-bytes-allowed-here', '', '', 'standard', 'openai-response', 40,
    '[{"url":"https://api.openai.com","weight":1}]', 'm', '', '', NULL, NULL, NULL, NULL, false);

INSERT INTO `group_sub_groups` (`group_id`, `sub_group_id`, `weight`) VALUES (4, 1, 30), (4, 5, 5000), (4, 3, 1), (4, 6, 1), (4, 77, 1);
