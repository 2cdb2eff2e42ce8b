"""report.html in a real browser."""

import base64

import pytest

from helpers.browser import need_browser, open_browser
from helpers.page_trials import finished_plan
from helpers.recorded import recorded_plan
from omni_msa.evidence.gather import gather
from omni_msa.report.figures.draw import draw_all
from omni_msa.report.page.page import write_page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
COMMAND = "python orchestrate.py sweeps/sweep.yaml"
PHONE_PX, DESKTOP_PX = 390, 1280
A4_PX, A4_WIDE_PX = 688, 1032  # 210 and 297 mm without margins
COLUMN = (
    "return [...document.querySelectorAll('#trial-table tbody tr:not([hidden])')].map(r => r.cells[{}].textContent)"
)
CUT = """
    return [...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1)
        .filter(e => (getComputedStyle(e.closest('section')).page === 'wide') === arguments[0])
        .map(e => e.getAttribute('aria-label'));
"""
SAID = {
    "discriminative": {1: [-2.0, 0.8, 0.9, 1.0], 2: [-1.0, 0.8, 1.9, 0.8]},
    "generative": {1: [(2.5, "<img src=x onerror='window.pwned=1'>"), 0.8, 1.9, 1.2]},
    "constant": {None: [0.0, 0.0, 0.0, 0.0]},
}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    need_browser()
    with open_browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """The reports of the pocket sweeps, from recorded trials."""
    written = {}
    with pytest.MonkeyPatch.context() as patch:
        for sweep in ("readout_comparison", "modality_ablation"):
            folder = tmp_path_factory.mktemp(sweep)
            patch.setenv("OMNI_MSA_CACHE", str(folder / "cache"))
            evidence = gather(recorded_plan(sweep, folder / "mlruns"))
            written[sweep] = write_page(evidence, draw_all(evidence, folder), folder, COMMAND)
    return written


@pytest.fixture
def page(reports, browser):
    """The browser with the report of the comparison of readouts."""
    browser.open(reports["readout_comparison"], DESKTOP_PX)
    return browser


@pytest.mark.parametrize("width_px", [DESKTOP_PX, PHONE_PX])
@pytest.mark.parametrize("sweep", ["readout_comparison", "modality_ablation"])
def test_a_report_opens_without_complaints_or_requests(reports, browser, sweep, width_px):
    browser.open(reports[sweep], width_px)
    assert browser.console() == []
    assert browser.requests() == [reports[sweep].as_uri()]
    assert (
        browser.run(
            "return performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.startsWith('data:'))"
        )
        == []
    )
    assert browser.run("return document.documentElement.scrollWidth") <= width_px  # nothing sticks out
    sizes = browser.run("return [...document.images].map(i => [i.naturalWidth, i.clientWidth, i.clientHeight, i.alt])")
    assert len(sizes) >= 3
    assert all(natural > 0 and 200 < wide <= width_px and high > 50 and alt for natural, wide, high, alt in sizes)


def test_a_table_scrolls_in_its_box_which_shows_it(page):
    beyond = "const e = document.querySelector('[aria-label=\"headline\"]'); return e.scrollWidth - e.clientWidth"
    assert page.run(beyond) <= 1
    page.resize(PHONE_PX)
    assert page.run(beyond) > 100
    shadow = page.run("return getComputedStyle(document.querySelector('.scroll')).backgroundAttachment")
    assert shadow == "local, local, scroll, scroll"


def test_the_network_is_forbidden(page):
    tried = "const done = arguments[arguments.length - 1]; fetch('http://127.0.0.1:9/').catch(e => done(String(e)))"
    assert "TypeError" in page.driver.execute_async_script(tried)
    assert any("Content Security Policy" in line for line in page.console())


def test_tables_sort_by_click_and_by_keyboard(page):
    heads = page.driver.find_elements("css selector", "#trial-table th")
    names = [head.text for head in heads]
    place = names.index("MAE")
    before = page.run(COLUMN.format(place))
    heads[place].find_element("css selector", "button").click()
    values = [float(text) for text in page.run(COLUMN.format(place))]
    assert values == sorted(values) and sorted(before) == sorted(page.run(COLUMN.format(place)))
    assert [head.get_attribute("aria-sort") for head in heads].count("ascending") == 1
    assert heads[place].get_attribute("aria-sort") == "ascending"
    page.driver.switch_to.active_element.send_keys("\ue007")  # Enter
    values = [float(text) for text in page.run(COLUMN.format(place))]
    assert values == sorted(values, reverse=True) and heads[place].get_attribute("aria-sort") == "descending"
    page.driver.switch_to.active_element.send_keys("\ue004\ue00d")  # Tab to the next heading, then the space bar
    assert heads[place + 1].get_attribute("aria-sort") == "ascending"
    assert heads[place].get_attribute("aria-sort") == "none"
    corr = page.run(COLUMN.format(place + 1))
    assert corr[-2:] == ["NaN", "NaN"] and [float(text) for text in corr[:-2]] == sorted(map(float, corr[:-2]))


def test_words_and_numbers_each_sort_in_their_way(page):
    page.driver.find_elements("css selector", "#trial-table button")[0].click()
    names = page.run(COLUMN.format(0))
    assert names == sorted(names) and names[0] == "constant"


def test_tables_filter(page):
    assert page.find("output").text == "12 of 12"
    page.find("input[type=search]").send_keys("GENER 1112")
    assert page.run(COLUMN.format(0)) == ["generative"] and page.find("output").text == "1 of 12"
    page.find("input[type=search]").clear()
    page.find("input[type=search]").send_keys("zero_shot")
    assert page.run(COLUMN.format(0)) == ["generative_zero_shot"]
    page.find("input[type=search]").clear()
    page.find("select option[value=complete]").click()
    assert page.find("output").text == "12 of 12"


def test_the_keyboard_reaches_everything(page):
    named = (
        "return [...document.querySelectorAll('.scroll')].every(e => e.tabIndex === 0 && e.getAttribute('aria-label'))"
    )
    assert page.run(named)
    page.driver.switch_to.active_element.send_keys("\ue004")
    assert page.run("return document.activeElement.getAttribute('href')") == "#main"
    page.run("document.querySelector('details').open = false; document.querySelector('summary').focus()")
    page.driver.switch_to.active_element.send_keys("\ue007")
    assert page.run("return document.querySelector('details').open")


def test_on_paper_everything_is_open_and_nothing_is_cut(page, tmp_path):
    page.resize(A4_PX)
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        page.run("window.dispatchEvent(new Event('beforeprint'))")
        assert page.run("return document.querySelectorAll('details:not([open])').length") == 0
        shown = "return [...document.querySelectorAll(arguments[0])].filter(e => e.getClientRects().length).length"
        assert [page.run(shown, name) for name in ("nav", "form", "video", "audio")] == [0, 0, 0, 0]
        assert page.run(shown, ".pairs") == 2 < page.run(shown, ".control details")  # those of pairs are in these too
        assert page.run(shown, "figure img") > 2
        assert page.run(CUT, False) == []
        page.resize(A4_WIDE_PX)
        assert page.run(CUT, True) == []
        assert page.run("return getComputedStyle(document.querySelector('.scroll.tall')).overflowY") == "visible"
        page.run("window.dispatchEvent(new Event('afterprint'))")
        assert page.run("return document.querySelectorAll('details:not([open])').length") > 2
    finally:
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    page.print_pdf(tmp_path / "page.pdf")
    content = (tmp_path / "page.pdf").read_bytes()
    assert content.startswith(b"%PDF") and content.count(b"/Type /Page\n") >= 3


def test_clips_play_and_texts_of_data_run_nothing(browser, rendered_clips, tmp_path, write_sweep):
    keys = {"axes": "{readout: [discriminative, generative, constant]}"}
    evidence = gather(finished_plan(tmp_path / "mlruns", write_sweep, SAID, **keys))
    path = write_page(evidence, [], tmp_path, COMMAND + " question='<script>window.pwned=1</script>'")
    browser.open(path)
    ready = """
        const done = arguments[arguments.length - 1];
        const all = [...document.querySelectorAll('video')];
        const tell = () => done(all.map(v => [v.error && v.error.message, v.readyState, v.videoWidth, v.duration]));
        Promise.all(all.map(v => { v.muted = true; return v.play(); })).then(tell, e => done([[String(e), 0, 0, 0]]));
    """
    players = browser.driver.execute_async_script(ready)
    assert len(players) == 4
    for error, state, width, seconds in players:
        assert error is None and state >= 2 and width > 0 and seconds > 0.5
    assert browser.run("return window.pwned") is None
    assert browser.run("return document.querySelectorAll('.unplayable:not([hidden])').length") == 0
    assert browser.console() == []


def test_a_player_that_cannot_play_says_so(browser, text_clips, tmp_path, write_sweep):
    evidence = gather(finished_plan(tmp_path / "mlruns", write_sweep, SAID))  # its mp4 files are empty
    browser.open(write_page(evidence, [], tmp_path, COMMAND))
    wait = """
        const done = arguments[arguments.length - 1];
        const look = () => {
          const told = [...document.querySelectorAll('.unplayable')].filter(p => p.getClientRects().length);
          if (told.length === 4) done(told.map(p => p.textContent)); else setTimeout(look, 20);
        };
        look();
    """
    assert browser.driver.execute_async_script(wait) == ["This browser cannot play the file."] * 4


def test_a_dark_room_gets_a_dark_page(reports, tmp_path):
    with open_browser(tmp_path, dark=True) as browser:
        browser.open(reports["readout_comparison"], PHONE_PX)
        paper, ink = browser.run(
            "const s = getComputedStyle(document.documentElement); return [s.backgroundColor, s.color]"
        )
        assert brightness(paper) < 60 and brightness(ink) > 200
        assert browser.run("return getComputedStyle(document.images[0]).backgroundColor") == "rgb(255, 255, 255)"


def brightness(colour):
    numbers = [float(part) for part in colour.partition("(")[2].rstrip(")").split(",")[:3]]
    return sum(numbers) / 3


def test_five_hundred_trials_sort_and_filter(browser, tmp_path, write_sweep, own_cache):
    seeds = f"[{', '.join(map(str, range(500, 0, -1)))}]"
    said = {"discriminative": {seed: [seed / 500, 0.0, 0.5, 1.0] for seed in (7, 70)}}
    evidence = gather(finished_plan(tmp_path / "mlruns", write_sweep, said, seeds=seeds))
    path = write_page(evidence, [], tmp_path, COMMAND)
    assert path.stat().st_size < 1_000_000
    browser.open(path, PHONE_PX)
    assert browser.find("output").text == "501 of 501"
    browser.driver.find_elements("css selector", "#trial-table button")[1].click()
    assert browser.run(COLUMN.format(1))[:3] == ["1", "2", "3"]
    assert browser.run(COLUMN.format(1))[-2:] == ["500", "–"]  # noqa: RUF001
    browser.find("select option[value=complete]").click()
    assert browser.find("output").text == "2 of 501" and browser.run(COLUMN.format(1)) == ["7", "70"]
    browser.find("input[type=search]").send_keys("no such words")
    assert browser.find("output").text == "0 of 501"
    assert browser.run("return document.documentElement.scrollWidth") <= PHONE_PX


def test_the_browser_tells_of_complaints(browser, tmp_path):
    """The checks above would see something."""
    picture = base64.b64encode(b"no picture").decode()
    bad = f"<img src='http://127.0.0.1:9/x.png'><img src='data:image/png;base64,{picture}'><script>nothing()</script>"
    (tmp_path / "bad.html").write_text(f"<!doctype html><div style='width: 2000px'>{bad}</div>")
    browser.open(tmp_path / "bad.html", PHONE_PX)
    assert any("nothing is not defined" in line for line in browser.console())
    assert "http://127.0.0.1:9/x.png" in browser.requests()
    assert browser.run("return document.documentElement.scrollWidth") > PHONE_PX
    assert browser.run("return [...document.images].map(i => i.naturalWidth)") == [0, 0]
