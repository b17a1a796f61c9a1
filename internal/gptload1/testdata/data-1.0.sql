INSERT INTO `system_settings` (`setting_key`, `setting_value`) VALUES ('response_header_timeout', '15'), ('key_validation_pool_size', '10');
INSERT INTO `groups` (`name`, `display_name`, `channel_type`, `sort`, `upstreams`, `test_model`, `param_overrides`, `config`) VALUES
  ('openai_old', 'Old', 'openai', 1, '[{"url":"https://api.openai.com"}]', 'gpt-4.1-nano', '{"stream":false}', '{"request_timeout":30}');
