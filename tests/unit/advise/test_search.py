"""The choice of a set by what is known of costs, held against trying every set."""

from __future__ import annotations

import itertools
import random
import time

import pytest

from pgrunbook.journey.advise.pricing import Known, bits
from pgrunbook.journey.advise.search import Model, State, Terms, choose


def made_up(seed: int, *, budget: int) -> Model:
    """Ten indexes, twelve statements with a base cost and some plans of one or two indexes."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    facts = []
    for _ in range(12):
        base = dice.uniform(50, 500)
        plans = [Known(0, 0, base)]
        for _ in range(4):
            used = sum({1 << dice.randrange(10) for _ in range(dice.choice((1, 1, 2)))})
            plans.append(Known(used, used, base * dice.uniform(0.05, 0.95)))
        facts.append(plans)
    terms = Terms(
        sizes=[dice.randrange(10, 100) * 8192 for _ in range(10)],
        upkeep=[0.0] * 10,
        weights=[1.0] * 12,
        budget_bytes=budget,
        count_max=10,
        gain_min=0.0,
    )
    return Model(facts, terms)


def test_the_choice_is_near_the_best_of_all_sets() -> None:
    ratios = []
    for seed in range(8):
        model = made_up(seed, budget=150 * 8192)
        found = choose(model)
        assert model.size(found) <= model.terms.budget_bytes
        every = (sum(1 << n for n in some) for k in range(11) for some in itertools.combinations(range(10), k))
        best = min(model.total(config) for config in every if model.size(config) <= model.terms.budget_bytes)
        ratios.append(model.total(found) / best)
    assert max(ratios) < 1.1
    assert sum(ratios) / len(ratios) < 1.02


def test_what_costs_more_to_keep_than_it_spares_is_not_chosen() -> None:
    facts = [[Known(0, 0, 100.0), Known(1, 1, 90.0), Known(2, 2, 40.0)]]
    terms = Terms(
        sizes=[8192, 8192], upkeep=[0.0, 80.0], weights=[1.0], budget_bytes=1 << 40, count_max=9, gain_min=1.0
    )
    assert bits(choose(Model(facts, terms))) == [0]


def test_no_room_means_no_index() -> None:
    assert choose(made_up(1, budget=0)) == 0


def test_the_same_answers_give_the_same_choice_however_slow_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = [choose(made_up(seed, budget=250 * 8192)) for seed in range(6)]
    clock = itertools.count(step=10.0)
    for name in ("process_time", "perf_counter", "monotonic", "time"):
        monkeypatch.setattr(time, name, lambda: next(clock))
    assert [choose(made_up(seed, budget=250 * 8192)) for seed in range(6)] == quick


def test_what_is_learnt_on_the_way_is_reckoned_as_if_it_had_been_known_before() -> None:
    dice = random.Random(5)  # noqa: S311 - no secret
    for seed in range(5):
        model = made_up(seed, budget=400 * 8192)
        facts = [[Known(used, used, cost) for used, cost in plans] for plans in model.plans]
        state = model.state(0)
        for _ in range(60):
            query = dice.randrange(len(facts))
            used = sum({1 << dice.randrange(10) for _ in range(dice.choice((1, 2, 3)))})
            fact = Known(used, used, dice.uniform(1, 400))
            model.learn(query, fact, state)
            facts[query].append(fact)
            if dice.random() < 0.3:
                model.move(state, state.config ^ 1 << dice.randrange(10))
            anew = Model(facts, model.terms)
            assert state.total(model) == pytest.approx(anew.total(state.config))
            assert spared(model, state) == pytest.approx(spared(model, model.state(state.config)), abs=1e-6)


def spared(model: Model, state: State) -> dict[int, float]:
    return dict(zip(model.bundles, state.spared, strict=True))


def test_room_is_made_by_what_loses_least_for_its_size() -> None:
    facts = [
        [Known(0, 0, 100.0), Known(1, 1, 20.0)],
        [Known(0, 0, 100.0), Known(2, 2, 90.0)],
        [Known(0, 0, 100.0), Known(4, 4, 50.0)],
    ]
    terms = Terms(
        sizes=[8192, 8192, 16384],
        upkeep=[0.0] * 3,
        weights=[1.0] * 3,
        budget_bytes=3 * 8192,
        count_max=9,
        gain_min=0.0,
    )
    assert bits(Model(facts, terms).making_room(0b011, 0b100)) == [0, 2]
