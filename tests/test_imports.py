"""Imports run one way, downward, inside functions too.

entry points → prediction → training → models, results → objectives → layers → ground
           ↘ extract    ↘ data → ground
                    ↘ ground
"""

import ast
import importlib
import pathlib
import subprocess
import sys
import tomllib

import pytest

import sugrm_jax

PACKAGE = pathlib.Path(sugrm_jax.__file__).parent
CONFIGS = PACKAGE.parent / 'configs'
COMMANDS = {'app', 'export', 'main', 'predict', 'report', 'sweep', 'tune'}
ENTRY_POINTS = {'__init__', *COMMANDS}
# Floor → the floors below it that it may import, its own included. A module on the
# package's top level that is no entry point stands on the ground.
BELOW = {
    'ground': {'ground'},
    'data': {'data', 'ground'},
    'extract': {'extract', 'ground'},
    'results': {'results', 'ground'},
    'layers': {'layers', 'ground'},
    'objectives': {'objectives', 'layers', 'ground'},
    'models': {'models', 'objectives', 'layers', 'ground'},
}
BELOW['training'] = {'training', 'results', 'data', *BELOW['models']}
BELOW['prediction'] = {'prediction', 'extract', *BELOW['training']}
BELOW['entry'] = {'entry', *BELOW['prediction']}


def imported(source: str, package: str) -> set[str]:
    """Dotted names that a module of `package` imports, each name of a `from` too."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split('.')[: -(node.level - 1) or None]
            parts = [*(above if node.level else []), *filter(None, [node.module])]
            names |= {'.'.join([*parts, alias.name]) for alias in node.names}
    return names


def modules() -> dict[str, pathlib.Path]:
    """Every module of the package by its dotted name within it."""
    return {
        '.'.join(path.relative_to(PACKAGE).with_suffix('').parts): path
        for path in PACKAGE.rglob('*.py')
    }


MODULES = modules()


def module_of(name: str) -> str | None:
    """The module within the package that a dotted name is or lies in, or None."""
    top, *parts = name.split('.')
    if top != 'sugrm_jax':
        return None
    while parts and '.'.join(parts) not in MODULES:
        if '.'.join([*parts, '__init__']) in MODULES:
            return '.'.join([*parts, '__init__'])
        parts.pop()
    return '.'.join(parts) or '__init__'


def imports_of(module: str) -> set[str]:
    path = MODULES[module]
    package = '.'.join(['sugrm_jax', *module.split('.')[:-1]])
    return imported(path.read_text(), package)


def floor(module: str) -> str:
    """The floor that a module of the package stands on."""
    first, *rest = module.split('.')
    if rest:
        return first
    return 'entry' if module in ENTRY_POINTS else 'ground'


def edges() -> list[tuple[str, str]]:
    """Pairs of modules of the package, of which the first imports the second."""
    return [
        (module, target)
        for module in MODULES
        for name in imports_of(module)
        if (target := module_of(name)) is not None
    ]


def test_imports_are_found_wherever_they_stand():
    source = (
        'import a.b as c, d\n'
        'from e.f import g\n'
        'def run():\n'
        '    from .h import i\n'
        '    from . import j\n'
        '    from ..k import l\n'
    )
    assert imported(source, 'p.q') == {
        'a.b', 'd', 'e.f.g', 'p.q.h.i', 'p.q.j', 'p.k.l',
    }  # fmt: skip


@pytest.mark.parametrize(
    ('name', 'module'),
    [
        ('sugrm_jax.types.Batch', 'types'),
        ('sugrm_jax.ulgm', 'ulgm'),
        ('sugrm_jax.data.load', 'data.load'),
        ('sugrm_jax.data.load.load', 'data.load'),
        ('sugrm_jax.models', 'models.__init__'),
        ('sugrm_jax.models.build', 'models.__init__'),
        ('sugrm_jax.train', '__init__'),
        ('jax.numpy', None),
    ],
)
def test_names_belong_to_modules(name, module):
    assert module_of(name) == module


def test_every_floor_is_known_and_used():
    assert {floor(module) for module in MODULES} == BELOW.keys()
    assert len(edges()) > 50


def test_imports_run_downward():
    upward = [
        f'{module} imports {target}'
        for module, target in edges()
        if floor(target) not in BELOW[floor(module)]
    ]
    assert not upward


def test_training_names_no_model():
    allowed = {'models.__init__', 'models.system'}
    named = [
        f'{module} imports {target}'
        for module, target in edges()
        if floor(module) == 'training'
        and floor(target) in ('models', 'objectives')
        and target not in allowed | {'objectives.__init__'}
    ]
    assert not named


def test_data_does_without_jax():
    for module in MODULES:
        if floor(module) == 'data':
            tops = {name.split('.')[0] for name in imports_of(module)}
            assert not tops & {'jax', 'flax', 'optax', 'chex', 'orbax'}, module


def test_configs_know_nothing_of_the_package():
    known = {'configs', 'ml_collections', *sys.stdlib_module_names}
    for path in CONFIGS.rglob('*.py'):
        tops = {name.split('.')[0] for name in imported(path.read_text(), 'configs')}
        assert tops <= known, path.name


def test_no_module_imports_another_in_a_circle():
    below = {module: set() for module in MODULES}
    for module, target in edges():
        if target != module:
            below[module].add(target)
    while free := [module for module, targets in below.items() if not targets]:
        for module in free:
            del below[module]
        for targets in below.values():
            targets -= set(free)
    assert not below


# What the package offers on its top level. ----------------------------------------


def test_every_export_is_the_one_of_its_module():
    for name, module in sugrm_jax._EXPORTS.items():
        home = importlib.import_module(f'sugrm_jax.{module}')
        assert getattr(sugrm_jax, name) is getattr(home, name)
    assert {'train', 'Interrupted', 'UserError'} <= set(sugrm_jax.__all__)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        sugrm_jax.trian  # noqa: B018


def test_editors_and_type_checkers_see_the_exports():
    tree = ast.parse(MODULES['__init__'].read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    assert ast.unparse(block.test) == 'TYPE_CHECKING'
    seen = {
        alias.name: line.module.removeprefix('sugrm_jax.')
        for line in block.body
        for alias in line.names
        # A name of its own says that the import is for others to use.
        if alias.asname == alias.name
    }
    assert seen == sugrm_jax._EXPORTS


def printed(source):
    """The words that a new Python prints."""
    done = subprocess.run(
        [sys.executable, '-c', source],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_exports_are_listed_before_anything_heavy_is_imported():
    source = (
        'import sys, sugrm_jax; names = dir(sugrm_jax); '
        'print(*names, *["imported"] * bool({"jax", "numpy"} & sys.modules.keys()))'
    )
    words = printed(source)
    assert {*sugrm_jax._EXPORTS, '__name__'} <= set(words)
    assert 'imported' not in words


def test_the_package_is_typed_and_has_one_version():
    assert (PACKAGE / 'py.typed').exists()
    project = tomllib.loads((PACKAGE.parent / 'pyproject.toml').read_text())
    tool = project['tool']['setuptools']
    assert tool['package-data'] == {'sugrm_jax': ['py.typed']}
    assert 'version' not in project['project']
    assert tool['dynamic']['version'] == {'attr': 'sugrm_jax.version.__version__'}


def test_training_starts_without_what_only_reports_and_tokenizers_need():
    """These take about a second, which the first step should not wait for."""
    later = {'matplotlib', 'sklearn', 'tensorboardX', 'transformers', 'safetensors'}
    source = 'import sys, sugrm_jax.training.loop; print(*sys.modules)'
    assert not later & set(printed(source))
