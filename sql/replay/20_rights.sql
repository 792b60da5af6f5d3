-- A group role gives the verb, operator_site the place: rows of other sites do not exist for a caller.
-- prepay.reading has no policy, because COPY refuses one: its trigger checks the site of every row.
ALTER TABLE prepay.site ENABLE ROW LEVEL SECURITY;
ALTER TABLE prepay.setting ENABLE ROW LEVEL SECURITY;
ALTER TABLE prepay.place ENABLE ROW LEVEL SECURITY;
ALTER TABLE prepay.gateway ENABLE ROW LEVEL SECURITY;
ALTER TABLE prepay.meter ENABLE ROW LEVEL SECURITY;
ALTER TABLE prepay.meter_term ENABLE ROW LEVEL SECURITY;
ALTER TABLE prepay.reading_review ENABLE ROW LEVEL SECURITY;
ALTER TABLE prepay.tariff ENABLE ROW LEVEL SECURITY;
ALTER TABLE prepay.tariff_version ENABLE ROW LEVEL SECURITY;
ALTER TABLE prepay.tariff_price ENABLE ROW LEVEL SECURITY;
ALTER TABLE prepay.tariff_assignment ENABLE ROW LEVEL SECURITY;
ALTER TABLE prepay.command ENABLE ROW LEVEL SECURITY;
ALTER TABLE prepay.agent ENABLE ROW LEVEL SECURITY;
ALTER TABLE prepay.operator_site ENABLE ROW LEVEL SECURITY;
ALTER TABLE prepay.receipt_template ENABLE ROW LEVEL SECURITY;
ALTER TABLE prepay.message_template ENABLE ROW LEVEL SECURITY;
ALTER TABLE prepay.supply_policy ENABLE ROW LEVEL SECURITY;
ALTER TABLE prepay.switch_schedule ENABLE ROW LEVEL SECURITY;
ALTER TABLE prepay.energy_share ENABLE ROW LEVEL SECURITY;

DROP POLICY IF EXISTS by_site ON prepay.site;
CREATE POLICY by_site ON prepay.site USING (prepay.my_site(site_id));
DROP POLICY IF EXISTS by_site ON prepay.setting;
CREATE POLICY by_site ON prepay.setting USING (prepay.my_site(site_id));
DROP POLICY IF EXISTS by_site ON prepay.place;
CREATE POLICY by_site ON prepay.place USING (prepay.my_site(site_id));
DROP POLICY IF EXISTS by_site ON prepay.gateway;
CREATE POLICY by_site ON prepay.gateway USING (prepay.my_site(site_id));
DROP POLICY IF EXISTS by_site ON prepay.meter;
CREATE POLICY by_site ON prepay.meter USING (prepay.my_site(site_id));
DROP POLICY IF EXISTS by_site ON prepay.meter_term;
CREATE POLICY by_site ON prepay.meter_term USING (prepay.my_site(site_id));
DROP POLICY IF EXISTS by_site ON prepay.reading_review;
CREATE POLICY by_site ON prepay.reading_review USING (prepay.my_site(site_id));
DROP POLICY IF EXISTS by_site ON prepay.tariff;
CREATE POLICY by_site ON prepay.tariff USING (prepay.my_site(site_id));
DROP POLICY IF EXISTS by_site ON prepay.tariff_version;
CREATE POLICY by_site ON prepay.tariff_version USING (prepay.my_site(site_id));
DROP POLICY IF EXISTS by_site ON prepay.tariff_price;
CREATE POLICY by_site ON prepay.tariff_price USING (prepay.my_site(site_id));
DROP POLICY IF EXISTS by_site ON prepay.tariff_assignment;
CREATE POLICY by_site ON prepay.tariff_assignment USING (prepay.my_site(site_id));
DROP POLICY IF EXISTS by_site ON prepay.command;
CREATE POLICY by_site ON prepay.command USING (prepay.my_site(site_id));
DROP POLICY IF EXISTS by_site ON prepay.agent;
CREATE POLICY by_site ON prepay.agent USING (prepay.my_site(site_id));
DROP POLICY IF EXISTS by_site ON prepay.operator_site;
CREATE POLICY by_site ON prepay.operator_site USING (prepay.my_site(site_id));
DROP POLICY IF EXISTS by_site ON prepay.supply_policy;
CREATE POLICY by_site ON prepay.supply_policy USING (prepay.my_site(site_id));
DROP POLICY IF EXISTS by_site ON prepay.switch_schedule;
CREATE POLICY by_site ON prepay.switch_schedule USING (prepay.my_site(site_id));
DROP POLICY IF EXISTS by_site ON prepay.energy_share;
CREATE POLICY by_site ON prepay.energy_share USING (prepay.my_site(site_id));

-- What all sites go by is everybody's to read, and to change for who has all of them.
ALTER TABLE prepay.holiday ENABLE ROW LEVEL SECURITY;
ALTER TABLE prepay.meter_model ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS shared ON prepay.holiday;
CREATE POLICY shared ON prepay.holiday FOR SELECT USING (true);
DROP POLICY IF EXISTS by_all_sites ON prepay.holiday;
CREATE POLICY by_all_sites ON prepay.holiday USING (prepay.all_sites());
DROP POLICY IF EXISTS shared ON prepay.meter_model;
CREATE POLICY shared ON prepay.meter_model FOR SELECT USING (true);
DROP POLICY IF EXISTS by_all_sites ON prepay.meter_model;
CREATE POLICY by_all_sites ON prepay.meter_model USING (prepay.all_sites());

-- Shipped templates are everybody's to read and nobody's to change.
DROP POLICY IF EXISTS by_site ON prepay.receipt_template;
CREATE POLICY by_site ON prepay.receipt_template USING (prepay.my_site(site_id));
DROP POLICY IF EXISTS shipped ON prepay.receipt_template;
CREATE POLICY shipped ON prepay.receipt_template FOR SELECT USING (site_id = 0);
DROP POLICY IF EXISTS by_site ON prepay.message_template;
CREATE POLICY by_site ON prepay.message_template USING (prepay.my_site(site_id));
DROP POLICY IF EXISTS shipped ON prepay.message_template;
CREATE POLICY shipped ON prepay.message_template FOR SELECT USING (site_id = 0);
