"""The answers of one turn as a tree: which branch grew from which token of which answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from tutor.agent.record import kept_record
from tutor.sessions.store import StoredMessage
from tutor.text import plain
from tutor.tui.keys import Keys

_PREVIEW = 60


class BranchTree(ModalScreen[StoredMessage | None]):
    """Closes with the branch to show, or with nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,b", "dismiss", "back")]

    def __init__(self, branches: Sequence[StoredMessage], current: int | None) -> None:
        super().__init__()
        self._branches = branches
        self._current = current
        self._tree_nodes: dict[int | None, TreeNode[StoredMessage]] = {}

    def compose(self) -> ComposeResult:
        with Vertical(id="branches"):
            tree: Tree[StoredMessage] = Tree("the question")
            tree.show_root = False
            for branch in self._branches:
                above = self._tree_nodes.get(branch.parent, tree.root)
                self._tree_nodes[branch.id] = above.add(self._label(branch), branch, expand=True)
            tree.root.expand_all()
            yield tree
        yield Keys()

    def on_mount(self) -> None:
        self.query_one(Vertical).border_title = "Branches: Enter shows one"
        tree: Tree[StoredMessage] = self.query_one(Tree)
        tree.focus()
        if node := self._tree_nodes.get(self._current):
            self.call_after_refresh(tree.move_cursor, node)

    def _label(self, branch: StoredMessage) -> Text:
        here = "▸ " if branch.id == self._current else ""
        record = kept_record(branch.answer)
        words = record["model_text"] if record else branch.text
        words = " ".join(plain(words).split())
        where = "first answer" if branch.fork is None else f"from token {branch.fork + 1}"
        shown = words if len(words) <= _PREVIEW else f"…{words[-_PREVIEW:]}"
        # A string would be parsed as markup; what the model said must stay text.
        return Text(f"{here}{where}: {shown}")

    def on_tree_node_selected(self, event: Tree.NodeSelected[StoredMessage]) -> None:
        self.dismiss(event.node.data)
