import pytest
import yaml

from pairsieve.jobs.recipes.template import template
from pairsieve.pipeline.check import check
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe


def test_without_a_model_the_template_runs_as_it_stands_but_for_who_asks() -> None:
    content = yaml.safe_load(template(model=False))
    with pytest.raises(BadOption, match="fetch.user_agent: is still the template's"):
        check(Recipe.model_validate(content))
    content["fetch"]["user_agent"] = "my-lab/1.0 (+https://my-lab.example/crawler)"
    recipe = Recipe.model_validate(content)
    assert recipe.embed is None
    assert check(recipe) == []


def test_the_two_templates_differ_in_the_model_alone() -> None:
    whole, without = (yaml.safe_load(template(model)) for model in (True, False))
    assert "embed" in whole
    assert "embed" not in without
    rules = [[name for rule in each["keep"] for name in rule] for each in (whole, without)]
    assert [name for name in rules[0] if name not in rules[1]] == ["clip_similarity", "nsfw"]
    assert "model" not in template(model=False).partition("keep:")[2]
