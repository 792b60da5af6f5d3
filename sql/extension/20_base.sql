-- Clock, codes, rights, installation.
CREATE FUNCTION prepay.now() RETURNS timestamptz
	AS 'MODULE_PATHNAME', 'prepay_now' LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION prepay.now() IS 'The business clock: transaction time, or what a superuser set in prepay.now.';

CREATE FUNCTION prepay.is_code(code text) RETURNS boolean
	AS 'MODULE_PATHNAME', 'prepay_is_code' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION prepay.is_code(text) IS 'Whether a text may be the code of an object: 1 to 64 characters, no ''/'', '':'' or control character.';

CREATE FUNCTION prepay.my_site(site_id int) RETURNS boolean
	AS 'MODULE_PATHNAME', 'prepay_my_site' LANGUAGE C STABLE STRICT COST 1;
COMMENT ON FUNCTION prepay.my_site(int) IS 'Whether current_user may use a site.';

CREATE FUNCTION prepay.all_sites() RETURNS boolean
	AS 'MODULE_PATHNAME', 'prepay_all_sites' LANGUAGE C STABLE;
COMMENT ON FUNCTION prepay.all_sites() IS 'Whether current_user may use every site: what all sites share is its to change.';

CREATE FUNCTION prepay.operator_name() RETURNS text
	AS 'MODULE_PATHNAME', 'prepay_operator_name' LANGUAGE C STABLE;
COMMENT ON FUNCTION prepay.operator_name() IS 'Who is written down for what this session does: session_user; for a login of prepay_authenticator, the role it has become.';

CREATE FUNCTION prepay.install() RETURNS text
	AS 'MODULE_PATHNAME', 'prepay_install' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.install() IS 'Create or migrate the storage, views, roles and meter profiles. Superuser only; safe to repeat.';
