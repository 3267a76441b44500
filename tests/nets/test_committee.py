"""Several nets as one, against the mean of their log-probabilities by hand."""

import io

import pytest
import torch
from bundles import of_yaml

from genreclf.errors import GenreclfError
from genreclf.nets.kinds import kind_of, new_net

CLASSES = 3
NET = {**of_yaml("model", "a")["net"], "channels": [4, 4, 16, 16], "lstm_units": [8, 4], "num_classes": CLASSES}
SVM = {"num_classes": CLASSES, "features": "bands", "support_vectors": 2}


def committee(*temperatures: float) -> torch.nn.Module:
    members = [
        {"kind": kind, "net": net, "temperature": temperature}
        for (kind, net), temperature in zip([("classifier", NET), ("svm", SVM)], temperatures, strict=False)
    ]
    torch.manual_seed(0)
    made = new_net("committee", {"num_classes": CLASSES, "members": members}, "net").eval()
    for name, buffer in made.named_buffers():
        if name.startswith("nets.1") or name.endswith(("running_mean", "running_var")):
            buffer.uniform_(0.5, 1.5)
    return made


def levels(batch: int = 4) -> torch.Tensor:
    return torch.randint(0, 256, (batch, 3, 128, 256), generator=torch.Generator().manual_seed(1)).to(torch.uint8)


def test_the_answer_is_the_members_geometric_mean_each_tempered():
    net, images = committee(0.5, 2.0), levels()
    with torch.no_grad():
        found, attention = net(images)
        (first, heeded), (second, _) = (member(images) for member in net.nets)
    product = first.softmax(1) ** (1 / 0.5) / (first.softmax(1) ** (1 / 0.5)).sum(1, keepdim=True)
    product = product * second.softmax(1) ** (1 / 2.0) / (second.softmax(1) ** (1 / 2.0)).sum(1, keepdim=True)
    expected = product.sqrt() / product.sqrt().sum(1, keepdim=True)
    torch.testing.assert_close(found.softmax(1), expected, atol=1e-5, rtol=1e-4)
    assert torch.equal(attention, heeded) and kind_of(net) == "committee"


def test_a_committee_of_one_answers_as_its_member():
    net, images = committee(1.0), levels()
    with torch.no_grad():
        torch.testing.assert_close(net(images)[0].softmax(1), net.nets[0](images)[0].softmax(1))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_scripted_committee_is_saved_loaded_and_agrees():
    net, file, images = committee(0.7, 1.3), io.BytesIO(), levels()
    torch.jit.save(torch.jit.script(net), file)
    file.seek(0)
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.load(file)(images)[0], net(images)[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], r"net\.members=\[\]: give one at least"),
        ([{"kind": "svm", "net": SVM}], r"net\.members\.0\.temperature: missing key"),
        ([{"kind": "svm", "net": SVM, "temperature": 0.0}], r"temperature=0.0: a member's must be above 0"),
        ([{"kind": "choir", "net": SVM, "temperature": 1.0}], r"kind='choir': unknown"),
        (
            [{"kind": "svm", "net": {**SVM, "num_classes": 4}, "temperature": 1.0}],
            r"members\.0\.net\.num_classes: must",
        ),
        ([{"kind": "svm", "net": {"num_classes": 3}, "temperature": 1.0}], r"members\.0\.net\.features: missing key"),
        ([{"kind": "committee", "net": SVM, "temperature": 1.0}], r"members\.0: is a committee itself"),
    ],
)
def test_a_committee_that_cannot_be_is_refused(members, message):
    with pytest.raises(GenreclfError, match=message):
        new_net("committee", {"num_classes": CLASSES, "members": members}, "net")
