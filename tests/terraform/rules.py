"""What has to hold in each folder of terraform/, and between them. Each rule yields what is wrong."""

from collections.abc import Iterator

from configuration import HOME, META, OF_A_MODULE, Module, arguments, plain


class World:
    """All folders, and what the provider says of itself."""

    def __init__(self, modules: list[Module], schema: dict):
        self.modules = {module.path: module for module in modules}
        self.schema = schema

    def called(self, module: Module, call: dict) -> Module | None:
        """The folder that a `module` block names."""
        return self.modules.get((module.path / plain(call.get("source", ""))).resolve())


def references(world: World, module: Module) -> Iterator[str]:
    """What is referred to is there: variables, locals, outputs of modules, resources and what they tell."""
    resources = {(kind, type_, name) for kind, type_, name, _ in module.resources()}
    calls = module.blocks("module")
    for head, rest in sorted(module.references()):
        words = ".".join((head, *rest))
        if head == "var" and rest[0] not in module.blocks("variable"):
            yield f"{words}: there is no such variable"
        elif head == "local" and rest[0] not in module.locals():
            yield f"{words}: there is no such local"
        elif head == "module":
            yield from of_a_module(world, module, calls, rest, words)
        elif head == "data" or head.startswith("aws_"):
            kind, named = ("data", rest) if head == "data" else ("resource", (head, *rest))
            if (kind, *named[:2]) not in resources:
                yield f"{words}: there is no such {kind}"
            elif len(named) > 2 and not tells(world.schema[f"{kind} {named[0]}"], named[2]):
                yield f"{words}: {named[0]} tells no such thing"


def of_a_module(world: World, module: Module, calls: dict, rest: tuple, words: str) -> Iterator[str]:
    if rest[0] not in calls:
        yield f"{words}: there is no such module"
    elif len(rest) > 1 and (called := world.called(module, calls[rest[0]])):
        if rest[1] not in called.blocks("output"):
            yield f"{words}: {called.name()} has no such output"


def tells(told: dict, name: str) -> bool:
    return name in told["arguments"] or name in told["blocks"]


def calls(world: World, module: Module) -> Iterator[str]:
    """Modules are given what they need, and nothing that they do not know."""
    for name, call in module.blocks("module").items():
        called = world.called(module, call)
        if not called:
            yield f"module {name}: {call.get('source')} is not there"
            continue
        variables = called.blocks("variable")
        given = set(arguments(call)) - OF_A_MODULE
        needed = {each for each, said in variables.items() if "default" not in said}
        yield from (f"module {name} is not given {each}" for each in sorted(needed - given))
        yield from (f"module {name} knows no {each}" for each in sorted(given - set(variables)))


def unused(world: World, module: Module) -> Iterator[str]:
    """Nothing is said that nobody asks for."""
    asked = {(head, rest[0]) for head, rest in module.references()}
    for name in module.blocks("variable"):
        # Those of a variable's own validation do not count, but then it has a use besides.
        if ("var", name) not in asked:
            yield f"variable {name} is not used"
    for name in module.locals():
        if ("local", name) not in asked:
            yield f"local {name} is not used"
    for _, type_, name, _ in (one for one in module.resources() if one[0] == "data"):
        if not any(head == "data" and rest[:2] == (type_, name) for head, rest in module.references()):
            yield f"data {type_}.{name} is not used"
    if not module.is_root():
        yield from unasked(world, module)


def unasked(world: World, module: Module) -> Iterator[str]:
    """Outputs of a module that no caller looks at, and modules that nobody calls."""
    callers = [
        (caller, name)
        for caller in world.modules.values()
        for name, call in caller.blocks("module").items()
        if world.called(caller, call) is module
    ]
    if not callers:
        yield "nobody calls it"
        return
    # Who hands a whole module on may ask for anything.
    whole = any(("module", (name,)) in caller.references() for caller, name in callers)
    for output in module.blocks("output"):
        asked = any(
            ("module", (name, output)) == (head, rest[:2])
            for caller, name in callers
            for head, rest in caller.references()
        )
        if not asked and not whole:
            yield f"output {output} is not used"


def described(_: World, module: Module) -> Iterator[str]:
    """Variables say what they are and of which type, outputs what they are."""
    for kind, wanted in (("variable", ("description", "type")), ("output", ("description", "value"))):
        for name, said in module.blocks(kind).items():
            yield from (f"{kind} {name} has no {each}" for each in wanted if each not in said)


def known(world: World, module: Module) -> Iterator[str]:
    """Resources are told what the provider knows, and what it asks for."""
    for kind, type_, name, said in module.resources():
        told = world.schema.get(f"{kind} {type_}")
        if told is None:
            yield f"{kind} {type_} is not in schema.json: tests/terraform/schema.py makes it anew"
        else:
            yield from block(
                f"{type_}.{name}", {key: value for key, value in arguments(said).items() if key not in META}, told
            )


def block(where: str, said: dict, told: dict) -> Iterator[str]:
    inner = blocks_of(said)
    for name in set(said) - set(inner) - {"dynamic"}:
        how = told["arguments"].get(name)
        if how in (None, "computed"):
            yield f"{where}: {name} " + ("is not to be said but told" if how else "is not known")
    for name, how in told["arguments"].items():
        if how == "required" and name not in said:
            yield f"{where}: {name} is missing"
    for name, needed in told["blocks"].items():
        if len(inner.get(name, [])) < needed["least"]:
            yield f"{where}: a block {name} is missing"
    for name, bodies in inner.items():
        if name not in told["blocks"]:
            yield f"{where}: a block {name} is not known"
            continue
        for body in bodies:
            yield from block(f"{where}.{name}", body, told["blocks"][name])


def blocks_of(said: dict) -> dict[str, list[dict]]:
    """By name, those that are written out and those that `dynamic` makes."""
    found = {}
    for name, value in said.items():
        if name == "dynamic":
            for each in value:
                for label, body in arguments(each).items():
                    found.setdefault(plain(label), []).extend(arguments(content) for content in body["content"])
        elif isinstance(value, list) and value and is_block(value[0]):
            found[name] = [arguments(body) for body in value]
    return found


def is_block(value) -> bool:
    return isinstance(value, dict) and "__is_block__" in value


def pinned(_: World, module: Module) -> Iterator[str]:
    """Roots say which version of which provider they take, and configure it; no folder of modules does."""
    needs = [block for told in module.said.get("terraform", []) for block in told.get("required_providers", [])]
    if module.is_root() and not any("version" in arguments(of) for block in needs for of in arguments(block).values()):
        yield "it does not say which version of the provider it takes"
    if module.blocks("provider") and not module.is_root():
        yield "only roots configure providers"


def copied(world: World, module: Module) -> Iterator[str]:
    """Regions are not written out: what is in a root is calls."""
    if module.is_root() and (found := [f"{type_}.{name}" for _, type_, name, _ in module.resources()]):
        yield f"a root has modules and no resources of its own: {found}"


RULES = [references, calls, unused, described, known, pinned, copied]


def problems(world: World) -> list[str]:
    return [
        f"{module.path.relative_to(HOME.parent)}: {problem}"
        for module in world.modules.values()
        for rule in RULES
        for problem in rule(world, module)
    ]
