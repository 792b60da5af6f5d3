"""
A tenant at the page, in a real browser. One line a step, for the test to compare.

    page.py URL ACCOUNT PASSWORD METER SHOTS   (SHOTS: a folder for screenshots)
"""
import sys
import tempfile

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

url, account, password, meter, shots = sys.argv[1:]
options = webdriver.ChromeOptions()
options.binary_location = '/usr/bin/chromium'
for flag in ('--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
             '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage', '--lang=zh-CN', '--window-size=420,900',
             f'--user-data-dir={tempfile.mkdtemp()}'):
    options.add_argument(flag)
options.add_experimental_option('prefs', {'intl.accept_languages': 'zh-CN,zh'})
options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
browser = webdriver.Chrome(service=Service('/usr/bin/chromedriver'), options=options)
wait = WebDriverWait(browser, 60, ignored_exceptions=[StaleElementReferenceException])


def find(selector):
    return browser.find_element(By.CSS_SELECTOR, selector)


def shown(selector):
    wait.until(lambda _: find(selector).is_displayed())
    return find(selector)


def type_in(selector, text):
    field = shown(selector)
    field.clear()
    field.send_keys(text)


def tab(name):
    shown(f'#tabs [data-tab={name}]').click()
    shown(f'#{name}')


def rows(name):
    return [' | '.join(cell.text for cell in row.find_elements(By.CSS_SELECTOR, 'td'))
            for row in browser.find_elements(By.CSS_SELECTOR, f'[data-list={name}] tr')[1:]]


def log_in(with_password):
    type_in('#log-in [name=account]', account)
    type_in('#log-in [name=password]', with_password)
    shown('#log-in button').click()


def say(step, what):
    print(f'{step}: {what}', flush=True)


def shot(name):
    browser.save_screenshot(f'{shots}/{name}.png')


try:
    browser.get(url)
    log_in(password + 'x')
    wait.until(lambda _: find('#notice').text)
    say('wrong password', find('#notice').text)
    log_in(password)
    shown('#usage')
    say('balance', find('#balance').text)
    say('state', find('#state').text)
    say('months', '; '.join(rows('months')))
    say('days', '; '.join(rows('days')))
    shot('usage')
    tab('recharges')
    say('recharges', '; '.join(row.split(' | ', 1)[1] for row in rows('recharges')))
    tab('meters')
    row = f'[data-meter="{meter}"]'
    say('supply', find(f'{row} .supply').text)
    find(f'{row} button').click()
    wait.until(lambda _: browser.switch_to.alert).accept()
    wait.until(lambda _: find(f'{row} button').text == '合闸')
    say('switched off', find(f'{row} .supply').text)
    shot('meters')
    find(f'{row} button').click()
    wait.until(lambda _: find(f'{row} button').text == '拉闸')
    say('switched on', find(f'{row} .supply').text)
    tab('pay')
    type_in('#order [name=amount]', '50.00')
    Select(find('#order [name=channel]')).select_by_value('alipay')
    find('#order button').click()
    wait.until(lambda _: find('#order button').is_enabled())
    say('order', '; '.join(row.split(' | ', 2)[2] for row in rows('orders')) or find('#notice').text)
    shot('pay')
    tab('alarms')
    tab('me')
    type_in('#data [name=phone]', '13911112222')
    find('#data button').click()
    wait.until(lambda _: find('#notice').text)
    say('saved', find('#notice').text)
    browser.refresh()
    shown('#usage')
    tab('me')
    say('phone', find('#data [name=phone]').get_attribute('value'))
    find('#language').click()
    wait.until(lambda _: find('h1').text == 'Prepaid electricity')
    find('#log-out').click()
    shown('#log-in')
    say('logged out', browser.execute_script('return sessionStorage.length'))
    browser.get(url + '?kiosk=1')
    log_in(password)
    shown('#usage')
    say('kiosk keeps nothing', browser.execute_script('return sessionStorage.length'))
    shot('kiosk')
    for entry in browser.get_log('browser'):
        if entry['level'] == 'SEVERE' and '401' not in entry['message']:
            say('console', entry['message'])
finally:
    browser.quit()
