"""Every control of the report does what it says, in a browser, by mouse and by keyboard alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import opened

#: Frames of the small phantom.
FRAMES = 6


def frame(page: Any) -> int:
    """Frame that the cine shows, by its clock; slider, playhead and spoken value must agree with it."""
    told = re.match(rf"frame (\d) of {FRAMES}\b", page.inner_text("[data-clock]"))
    assert told is not None
    slider = page.locator("[data-frame]")
    assert slider.input_value() == told[1]
    assert slider.get_attribute("aria-valuetext") == page.inner_text("[data-clock]")
    places = page.locator("svg.chart").get_attribute("data-frame-x").split()
    assert float(page.locator("[data-playhead]").get_attribute("x1")) == float(places[int(told[1]) - 1])
    return int(told[1])


class Shown:
    """What is on the canvas, as coarse colours: browsers draw the same lines a little differently from time to time."""

    def __init__(self, page: Any) -> None:
        self.colours = np.array(
            page.evaluate(
                """() => {
                  const small = new OffscreenCanvas(96, 96).getContext("2d");
                  small.drawImage(document.querySelector("canvas"), 0, 0, 96, 96);
                  return [...small.getImageData(0, 0, 96, 96).data];
                }"""
            ),
            float,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shown) and float(np.abs(self.colours - other.colours).mean()) < 0.5

    def __hash__(self) -> int:
        return 0


def middle(locator: Any, part: float = 0.5) -> tuple[float, float]:
    """A point of an element: half its height, and so much of its width."""
    locator.scroll_into_view_if_needed()
    box = locator.bounding_box()
    return box["x"] + part * box["width"], box["y"] + box["height"] / 2


@pytest.fixture
def page(chromium: Any, report_file: Path) -> Any:
    with opened(chromium, report_file) as window:
        yield window


def test_nothing_in_the_report_makes_the_browser_complain(chromium: Any, report_file: Path) -> None:
    for scheme in ("light", "dark"):
        with opened(chromium, report_file, color_scheme=scheme, reduced_motion="no-preference") as page:
            assert page.title()


def test_the_cine_plays_and_pauses_at_the_pace_of_the_heart(chromium: Any, report_file: Path) -> None:
    with opened(chromium, report_file, clock=True, reduced_motion="no-preference") as page:
        button = page.locator("[data-play]")
        assert button.get_attribute("aria-label") == "Pause"
        button.click()
        assert button.get_attribute("aria-label") == "Play"
        page.locator("[data-frame]").press("Home")
        page.clock.run_for(2000)
        assert frame(page) == 1
        step = page.evaluate("JSON.parse(document.querySelector('[data-cine] script').textContent).frame_ms")
        for speed, frames in (("1", 3), ("0.5", 1.5), ("2", 4), ("0.25", 0.75)):
            page.locator("[data-speed]").select_option(speed)
            page.locator("[data-frame]").press("Home")
            button.click()
            page.clock.run_for(round(step * frames / float(speed) + 40))
            button.click()
            assert frame(page) == 1 + int(frames), speed


def test_without_wish_for_motion_the_cine_waits(chromium: Any, report_file: Path) -> None:
    with opened(chromium, report_file, clock=True) as page:
        page.clock.run_for(2000)
        assert frame(page) == 1
        assert page.locator("[data-play]").get_attribute("aria-label") == "Play"


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_the_slider_goes_where_the_mouse_clicks_and_drags(chromium: Any, report_file: Path, motion: str) -> None:
    with opened(chromium, report_file, reduced_motion=motion) as page:
        slider = page.locator("[data-frame]")
        for part, expected in ((0.99, 6), (0.01, 1), (0.6, 4)):
            page.mouse.click(*middle(slider, part))
            assert frame(page) == expected
        page.mouse.move(*middle(slider, 0.6))
        page.mouse.down()
        for part, expected in ((0.8, 5), (0.99, 6), (0.41, 3)):
            page.mouse.move(*middle(slider, part))
            assert frame(page) == expected
        page.mouse.up()
        page.wait_for_timeout(100)
        assert frame(page) == 3


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
@pytest.mark.parametrize("place", ["[data-frame]", "[data-cine]"])
def test_keys_step_through_frames(chromium: Any, report_file: Path, place: str, motion: str) -> None:
    with opened(chromium, report_file, reduced_motion=motion) as page:
        focused = page.locator(place)
        before = Shown(page)
        for key, expected in (("Home", 1), ("ArrowRight", 2), ("ArrowRight", 3), ("ArrowLeft", 2), ("End", 6)):
            focused.press(key)
            assert frame(page) == expected, key
        assert Shown(page) != before
        focused.press("Home")
        assert frame(page) == 1


def test_steps_of_the_player_go_round(page: Any) -> None:
    player = page.locator("[data-cine]")
    player.press("ArrowLeft")
    assert frame(page) == FRAMES
    player.press("ArrowRight")
    assert frame(page) == 1


@pytest.mark.parametrize("place", ["[data-frame]", "[data-cine]", "[data-play]"])
def test_space_plays_and_pauses(page: Any, place: str) -> None:
    for words in ("Pause", "Play"):
        page.locator(place).press(" ")
        assert page.locator("[data-play]").get_attribute("aria-label") == words


def test_a_click_on_the_curves_goes_to_the_nearest_frame(page: Any) -> None:
    chart = page.locator("svg.chart")
    places = [float(x) for x in chart.get_attribute("data-frame-x").split()]
    width = float(chart.get_attribute("viewBox").split()[2])
    for k in (3, 0, 5):
        page.mouse.click(*middle(chart, (places[k] + 2) / width))
        assert frame(page) == k + 1
    page.mouse.move(*middle(chart, places[1] / width))
    page.mouse.down()
    assert frame(page) == 2
    page.mouse.move(*middle(chart, places[4] / width))
    assert frame(page) == 5
    page.mouse.up()
    page.mouse.move(*middle(chart, places[2] / width))
    assert frame(page) == 5


def test_contours_of_the_cine_switch_off_and_on(page: Any) -> None:
    box = page.locator("[data-contours]")
    with_lines = Shown(page)
    box.click()
    without = Shown(page)
    assert without != with_lines
    page.locator("[data-cine]").press("c")
    assert box.is_checked()
    assert Shown(page) == with_lines
    box.press(" ")
    assert Shown(page) == without


@pytest.mark.parametrize("switch", ["#contours-on", "#lge-contours-on"])
def test_contours_of_the_slices_switch_off_and_on(page: Any, switch: str) -> None:
    lines = page.locator(f"section:has({switch}) .contours")
    assert lines.first.is_visible()
    page.locator(f"label[for={switch[1:]}]").click()
    assert not any(line.is_visible() for line in lines.all())
    page.locator(switch).press(" ")
    assert all(line.is_visible() for line in lines.all())


def test_slices_are_chosen_by_list_click_and_keys(page: Any) -> None:
    chooser, canvas, player = page.locator("[data-slice]"), page.locator("canvas"), page.locator("[data-cine]")
    names = chooser.locator("option").all_inner_texts()
    assert names[0] == "all"
    assert [int(re.findall(r"\d+", name)[0]) for name in names[1:]] == list(range(1, len(names)))
    assert (names[1], names[-1]) == ("1 (base)", f"{len(names) - 1} (apex)")
    mosaic = Shown(page)
    chooser.select_option(index=3)
    third = Shown(page)
    assert third != mosaic
    canvas.click()
    assert (chooser.input_value(), Shown(page)) == ("-1", mosaic)
    canvas.click(position={"x": 10, "y": 10})
    assert chooser.input_value() == "0"
    for key, expected in (("ArrowDown", "1"), ("ArrowDown", "2"), ("ArrowUp", "1")):
        player.press(key)
        assert chooser.input_value() == expected
    player.press("ArrowDown")
    assert Shown(page) == third


def test_every_fold_opens_and_closes_by_mouse_and_by_keyboard(page: Any) -> None:
    # inner folds come after the outer one that holds them, which stays open
    for k, fold in enumerate(page.locator("details").all()):
        summary, inside = fold.locator("> summary"), fold.locator("> :not(summary)").first
        assert not inside.is_visible()
        if k % 2:
            summary.press("Enter")
        else:
            summary.click()
        assert inside.is_visible()
        summary.press(" ")
        assert not inside.is_visible()
        summary.click()
    assert page.locator("details:not([open])").count() == 0


def test_the_tabulator_reaches_every_control(page: Any) -> None:
    """Each once, in the order of the page, with a visible outline."""
    controls = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, summary, [tabindex]")]
            .filter(e => e.checkVisibility()).map((e, k) => (e.dataset.place = k, e.tagName))"""
    )
    reached = []
    for _ in controls:
        page.keyboard.press("Tab")
        reached.append(page.evaluate("Number(document.activeElement.dataset.place)"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert reached == list(range(len(controls)))
