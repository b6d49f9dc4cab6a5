"""Web pages as phones: MiniWoB++ tasks in a real Chromium, touched and typed on like a phone.

    suite = BrowserSuite()
    device = BrowserDevice("page-0", BrowserDeviceConfig())
    task = await device.reset(suite.make_task("login-user", split="train", seed=3), deadline_s=30)
    observation = await device.observe(deadline_s=10)
    await device.act(oracle(task, observation), deadline_s=10)
    (await device.check(task, deadline_s=10)).success

The pages and their rewards are those of the PyPI package `miniwob`; its Python code is not used.
"""

from distrl.device.browser.device import BrowserDevice
from distrl.device.browser.oracles import ORACLE_TEMPLATES, oracle
from distrl.device.browser.suite import BrowserSuite

__all__ = ["ORACLE_TEMPLATES", "BrowserDevice", "BrowserSuite", "oracle"]
