"""A private key in a scenario is refused where it stands, and its text is repeated nowhere."""

import pytest

from twin.scenario.load import load_scenario
from twin.scenario.problems import ScenarioError

KEY = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
WORDS = "test walk test walk test walk test walk test walk test junk"
BASE = """\
name: x
start: 2016-01-18T00:00:00+01:00
duration_days: 1
seed: 1
grid: {source: "simbench:1-LV-rural1--0-sw"}
settlement:
  chain: rpc
  rpc:
    url: http://127.0.0.1:8545
    outbox: outbox.sqlite
    deployment: deployment.json
"""


def refused(tmp_path, text, overrides=()):
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path, overrides)
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "key", "said"),
    [
        (f"    private_key: '0x{KEY}'", "settlement.rpc.private_key", "names a secret"),
        ("    password: hush", "settlement.rpc.password", "names a secret"),
        ("    keystore: operator.json", "settlement.rpc.keystore", "names a secret"),
        (f"    note: 'the key is {KEY.upper()}.'", "settlement.rpc.note", "looks like a private key"),
        (f"    {KEY}: 1", "settlement.rpc", "looks like a private key"),
        (f"    deep: [1, {{a: '{KEY}'}}]", "settlement.rpc.deep[1].a", "looks like a private key"),
        (f"    number: {int(KEY, 16)}", "settlement.rpc.number", "looks like a private key"),
        (f"    note: {WORDS}", "settlement.rpc.note", "words of a wallet"),
        ("    note: '{\"ciphertext\": 1}'", "settlement.rpc.note", "looks like a keystore"),
        (f"market: {{parameters: {{a: '{KEY}'}}}}", "market.parameters.a", "looks like a private key"),
        (
            f"variants: {{a: {{judged: true, set: {{settlement.rpc.secret: {KEY}x}}}}}}",
            "variants.a.set",
            "names a secret",
        ),
    ],
)
def test_what_looks_like_a_secret_is_refused_and_not_repeated(tmp_path, line, key, said):
    text = refused(tmp_path, BASE + line + "\n")
    assert key in text and said in text
    assert "TWIN_CHAIN_KEYSTORE" in text
    assert KEY not in text.lower() and str(int(KEY, 16)) not in text and "hush" not in text
    assert WORDS not in text


@pytest.mark.parametrize(
    "override",
    [f"settlement.rpc.key=0x{KEY}", f"settlement.rpc.outbox={KEY}", f"settlement.rpc.outbox {KEY}"],
)
def test_nor_on_the_command_line(tmp_path, override):
    assert KEY not in refused(tmp_path, BASE, [override])


@pytest.mark.parametrize(
    "url",
    [
        "https://me:pw12@node.example",
        "https://node.example/v3/0123456789abcdef0123456789abcdef",
        "wss://node.example/?key=short",
    ],
)
def test_an_address_with_an_access_key_belongs_into_the_environment(tmp_path, url):
    text = refused(tmp_path, BASE.replace("http://127.0.0.1:8545", url))
    assert "settlement.rpc.url: holds a password or an access key" in text and "TWIN_CHAIN_URL" in text
    assert url not in text


def test_a_plain_scenario_with_a_node_is_taken(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(
        BASE + "description: a seed and twelve plain words of which nobody would ever make a wallet\n"
    )
    assert load_scenario(path).base.settlement.rpc is not None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    deployment: deployment.json\n", "", "deployment is missing"),
        ("http://127.0.0.1:8545", "ftp://x", "settlement.rpc.url: does not have the right form"),
        (
            "  chain: rpc\n",
            "  chain: rpc\n  outages: [{at: '10:00', for_s: 60}]\n",
            "are of the embedded chain",
        ),
        ("  chain: rpc\n", "  outages: [{for_s: 60, reorg_blocks: 9}]\n", "must not be below the deepest"),
        ("  chain: rpc\n", "  outages: [{at: '10:00', at_s: 5, for_s: 60}]\n", "together with at"),
    ],
)
def test_a_chain_that_cannot_be(tmp_path, old, new, said):
    assert said in refused(tmp_path, BASE.replace(old, new))
