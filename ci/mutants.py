# SPDX-License-Identifier: BSD-2-Clause
"""Mutants of C sources, all in one program.

A source is read as tokens, its functions as statements and expressions; what
is mutated becomes a choice at run time:

    a < b    (KA_MUT(17) ? a <= b : a < b)

so that all mutants are compiled once and one is switched on by a number. Only
one is on at a time, and its alternative is the text as it was. What is not
understood is left as it is. The tree's style is relied upon: a function's
braces are in column 0.

Every alternative has a line of its own in the result, so that one that does
not compile is known by the line of the error and left out.
"""
import re

TOKEN = re.compile(
    r'(?P<space>\s+|/\*.*?\*/)|(?P<pp>(?<=\n)#(?:\\\n|[^\n])*)'
    r'|(?P<str>"(?:\\.|[^"\\])*")|(?P<chr>\'(?:\\.|[^\'\\])*\')'
    r'|(?P<num>(?:0[xX][0-9a-fA-F]+|\d+)[uUlL]*)|(?P<id>[A-Za-z_]\w*)'
    r'|(?P<op><<=|>>=|\.\.\.|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]='
    r'|[-+*/%&|^~!<>=?:;,.(){}\[\]])', re.S)

TYPES = {"const", "static", "struct", "enum", "union", "unsigned", "signed",
         "char", "int", "long", "short", "void", "bool", "double", "float",
         "volatile", "register", "_Bool", "word", "__auto_type"}
WORDS = {"if", "else", "while", "for", "do", "switch", "case", "default",
         "return", "break", "continue", "goto"}
# What must stay a constant, a type or a name.
RAW_CALLS = re.compile(r"^(sizeof|offsetof|_Static_assert|KA_(STATIC_)?ASSERT|"
                       r"va_\w+|__builtin_\w+|U?INT\d*_C|__typeof__|"
                       r"ka_misuse)$")
LEVELS = [("||",), ("&&",), ("|",), ("^",), ("&",), ("==", "!="),
          ("<", ">", "<=", ">="), ("<<", ">>"), ("+", "-"), ("*", "/", "%")]
ASSIGN = {"=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="}
RELATIONS = {"<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="),
             ">=": (">", "<"), "==": ("!=",), "!=": ("==",)}
ARITHMETIC = {"+": "-", "-": "+", "*": "/", "/": "*", "%": "/", "<<": ">>",
              ">>": "<<", "&": "|", "|": "&", "^": "&"}
ASSIGNED = {"+=": "-=", "-=": "+=", "&=": "|=", "|=": "&=", "*=": "/=",
            "<<=": ">>=", ">>=": "<<=", "^=": "|="}
WEAKER = {"SEQ_CST": "RELAXED", "ACQUIRE": "RELAXED", "RELEASE": "RELAXED"}
SYNC = [
    ("unlock", r"(unlock|_unlock_self)$"),
    ("lock", r"(^|_)(lock|lock_self)$"),
    ("wake", r"(wake\w*|__kick|_tell|_tell_\w+|_wake\w*)$"),
    ("barrier", r"(^ka_fence\w*|rendezvous|__exclude|^ka_pause)$"),
    ("section", r"(^ka_section_\w+|cpu__(leave|visit|shortage_\w+|close\w*)|"
                r"mag__(close|reopen))$"),
]


class Unknown(Exception):
    pass


class Node:
    """A piece of the text, with the pieces in it that may be mutated."""

    def __init__(self, begin):
        self.begin = self.end = begin
        self.kids = []
        self.mutants = []  # (operator, alternative)
        self.kind = ""
        self.statement = False


class Token:
    def __init__(self, kind, text, begin, end):
        self.kind, self.text, self.begin, self.end = kind, text, begin, end


def tokens(text, begin, end):
    found = []
    while begin < end:
        m = TOKEN.match(text, begin, end)
        if m is None:
            raise Unknown("character %r" % text[begin])
        if m.lastgroup != "space":
            found.append(Token(m.lastgroup, m.group(), m.start(), m.end()))
        begin = m.end()
    found.append(Token("end", "", end, end))
    return found


class Parser:
    def __init__(self, text, begin, end):
        self.text = text
        self.t = tokens(text, begin, end)
        self.i = 0

    # -- tokens

    def at(self, *texts):
        return self.t[self.i].text in texts and \
            self.t[self.i].kind not in ("str", "chr")

    def peek(self, n=0):
        return self.t[min(self.i + n, len(self.t) - 1)]

    def take(self):
        token = self.t[self.i]
        if token.kind == "end":
            raise Unknown("end")
        self.i += 1
        return token

    def want(self, text):
        if not self.at(text):
            raise Unknown("%s, not %s" % (self.peek().text, text))
        return self.take()

    def skip_to_pair(self):
        """Past the bracket that closes the one that is next."""
        depth = 0
        while True:
            token = self.take()
            if token.kind == "op":
                depth += token.text in ("(", "[", "{")
                depth -= token.text in (")", "]", "}")
            if depth == 0:
                return token

    def done(self, node):
        node.end = self.t[self.i - 1].end
        return node

    def source(self, node):
        text = self.text[node.begin:node.end]
        text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
        return re.sub(r"\s+", " ", text)

    # -- expressions

    def expression(self):
        node = self.assignment()
        while self.at(","):
            self.take()
            more = Node(node.begin)
            more.kids = [node, self.assignment()]
            node = self.done(more)
        return node

    def assignment(self):
        left = self.ternary()
        if not (self.peek().kind == "op" and self.peek().text in ASSIGN):
            return left
        op = self.take().text
        right = self.assignment()
        node = Node(left.begin)
        left.mutants = []
        node.kids = [left, right]
        node.kind = "assign"
        self.done(node)
        if op in ASSIGNED:
            node.mutants.append(("arithmetic", "%s %s %s" % (
                self.source(left), ASSIGNED[op], self.source(right))))
        return node

    def ternary(self):
        cond = self.binary(0)
        if not self.at("?"):
            return cond
        self.take()
        yes = self.expression()
        self.want(":")
        no = self.ternary()
        node = Node(cond.begin)
        node.kids = [cond, yes, no]
        self.done(node)
        node.mutants.append(("swap", "%s ? %s : %s" % (
            self.source(cond), self.source(no), self.source(yes))))
        return node

    def binary(self, level):
        if level == len(LEVELS):
            return self.unary()
        left = self.binary(level + 1)
        while self.peek().kind == "op" and self.peek().text in LEVELS[level]:
            op = self.take().text
            right = self.binary(level + 1)
            node = Node(left.begin)
            node.kids = [left, right]
            node.kind = "relation" if op in RELATIONS else "binary"
            self.done(node)
            self.mutate_binary(node, left, op, right)
            left = node
        return left

    def mutate_binary(self, node, left, op, right):
        a, b = self.source(left), self.source(right)
        if op in RELATIONS:
            node.mutants += [("relational", "%s %s %s" % (a, other, b))
                             for other in RELATIONS[op]]
        elif op in ("&&", "||"):
            other = "||" if op == "&&" else "&&"
            node.mutants.append(("logical", "(%s) %s (%s)" % (a, other, b)))
            node.mutants.append(("logical", a))
            node.mutants.append(("logical", b))
        else:
            node.mutants.append(("arithmetic", "(%s) %s (%s)" % (
                a, ARITHMETIC[op], b)))

    def is_cast(self):
        """Is a type in the brackets that are next?"""
        first, i = self.peek(1), 1
        if first.kind != "id" or not (first.text in TYPES or
                                      first.text.endswith("_t")):
            return False
        while self.peek(i).text != ")":
            if self.peek(i).kind not in ("id", "op") or \
                    self.peek(i).text in ("(", ";", "="):
                return False
            i += 1
        return True

    def unary(self):
        node = Node(self.peek().begin)
        token = self.peek()
        if token.kind == "op" and token.text in ("!", "~", "-", "+", "*", "&",
                                                 "++", "--"):
            self.take()
            kid = self.unary()
            node.kids = [kid]
            self.done(node)
            if token.text == "!":
                node.kind = "not"
                node.mutants.append(("logical", "!!(%s)" % self.source(kid)))
            elif token.text in ("++", "--"):
                node.kind = "assign"
                node.mutants.append(("arithmetic", "%s%s" % (
                    "--" if token.text == "++" else "++", self.source(kid))))
            elif token.text in "-~":
                node.mutants.append(("arithmetic", self.source(kid)))
            return node
        if token.text == "sizeof":
            self.take()
            if self.at("("):
                self.skip_to_pair()
            else:
                self.unary()
            return self.done(node)
        if self.at("(") and self.is_cast():
            self.skip_to_pair()
            if self.at("{"):
                self.skip_to_pair()
                return self.done(self.postfix(self.done(node)))
            node.kids = [self.unary()]
            node.kind = "cast"
            return self.done(node)
        return self.postfix(self.primary())

    def primary(self):
        node = Node(self.peek().begin)
        token = self.peek()
        if self.at("("):
            self.take()
            if self.at("{"):
                raise Unknown("statement expression")
            node.kids = [self.expression()]
            node.kind = node.kids[0].kind
            self.want(")")
        elif token.kind == "num":
            self.take()
            self.done(node)
            self.mutate_number(node, token.text)
        elif token.kind == "str":
            while self.peek().kind == "str" or \
                    self.peek().text.startswith("PRI"):
                self.take()
        elif token.kind == "chr":
            self.take()
        elif token.kind == "id" and token.text not in WORDS | TYPES:
            self.take()
            self.done(node)
            other = {"true": "false", "false": "true"}.get(token.text)
            if other:
                node.mutants.append(("constant", other))
            if token.text in WEAKER:
                node.mutants.append(("order", WEAKER[token.text]))
            node.kind = "name"
        else:
            raise Unknown(token.text)
        return self.done(node)

    @staticmethod
    def mutate_number(node, text):
        digits = re.match(r"0[xX][0-9a-fA-F]+|\d+", text).group()
        tail = text[len(digits):]
        value = int(digits, 16 if digits[:2].lower() == "0x" else
                    8 if digits[0] == "0" and len(digits) > 1 else 10)
        node.kind = "number"
        node.mutants.append(("constant", "%d%s" % (value + 1, tail)))
        if value > 0:
            node.mutants.append(("constant", "%d%s" % (value - 1, tail)))

    def postfix(self, node):
        while True:
            token = self.peek()
            if self.at("("):
                call = Node(node.begin)
                call.kind = "call:" + self.text[node.begin:node.end]
                raw = RAW_CALLS.match(self.text[node.begin:node.end])
                call.kids = [node] + ([] if raw else self.arguments())
                if raw:
                    self.skip_to_pair()
                node = self.done(call)
            elif self.at("["):
                self.take()
                more = Node(node.begin)
                more.kids = [node, self.expression()]
                self.want("]")
                node = self.done(more)
            elif self.at(".", "->"):
                self.take()
                self.take()
                more = Node(node.begin)
                more.kids = [node]
                node = self.done(more)
            elif self.at("++", "--"):
                self.take()
                more = Node(node.begin)
                more.kids = [node]
                more.kind = "assign"
                self.done(more)
                more.mutants.append(("arithmetic", self.source(node) + (
                    "--" if token.text == "++" else "++")))
                node = more
            else:
                return node

    def arguments(self):
        """Of a call; none of them if one is no expression."""
        start, kids = self.i, []
        try:
            self.want("(")
            while not self.at(")"):
                kids.append(self.assignment())
                if not self.at(")"):
                    self.want(",")
            self.want(")")
        except Unknown:
            self.i, kids = start, []
            self.skip_to_pair()
        return kids

    # -- statements

    def block(self):
        node = Node(self.want("{").begin)
        while not self.at("}"):
            node.kids.append(self.guarded())
        self.want("}")
        return self.done(node)

    def guarded(self):
        """A statement, or, if it is not understood, its text."""
        start = self.i
        try:
            return self.one()
        except Unknown:
            self.i = start
            node = Node(self.peek().begin)
            while not self.at(";"):
                if self.at("{"):
                    self.skip_to_pair()
                    return self.done(node)
                if self.at("("):
                    self.skip_to_pair()
                else:
                    self.take()
            self.take()
            return self.done(node)

    def condition(self, swap):
        self.want("(")
        node = self.expression()
        self.want(")")
        if swap or node.kind not in ("relation", "not"):
            node.mutants.append(("swap" if swap else "logical",
                                 "!(%s)" % self.source(node)))
        return node

    def one(self):
        token = self.peek()
        node = Node(token.begin)
        if token.kind == "pp" or self.at(";"):
            self.take()
            return self.done(node)
        if self.at("{"):
            return self.block()
        if token.text in WORDS:
            return getattr(self, "on_" + token.text)(node)
        if token.kind == "id" and self.peek(1).text == ":":
            self.take()
            self.take()
            return self.done(node)
        if self.is_declaration():
            return self.declaration(node)
        return self.simple(node)

    def on_if(self, node):
        self.take()
        start, swaps = self.i, False
        cond = self.condition(False)
        yes = self.one()
        if self.at("else"):
            end = self.i
            self.i, swaps = start, True
            cond = self.condition(swaps)
            self.i = end
            self.take()
            node.kids = [cond, yes, self.one()]
        else:
            node.kids = [cond, yes]
        return self.done(node)

    def on_while(self, node):
        self.take()
        self.want("(")
        node.kids = [self.expression()]
        self.want(")")
        node.kids.append(self.one())
        return self.done(node)

    def on_for(self, node):
        self.take()
        self.want("(")
        if self.is_declaration():
            node.kids.append(self.declaration(Node(self.peek().begin)))
        else:
            if not self.at(";"):
                node.kids.append(self.expression())
            self.want(";")
        if not self.at(";"):
            node.kids.append(self.expression())
        self.want(";")
        if not self.at(")"):
            node.kids.append(self.expression())
        self.want(")")
        node.kids.append(self.one())
        return self.done(node)

    def on_do(self, node):
        self.take()
        node.kids = [self.one()]
        self.want("while")
        self.want("(")
        node.kids.append(self.expression())
        self.want(")")
        self.want(";")
        return self.done(node)

    on_switch = on_while

    def on_case(self, node):
        while not self.at(":"):
            self.take()
        self.take()
        return self.done(node)

    on_default = on_case

    def on_return(self, node):
        self.take()
        if not self.at(";"):
            node.kids = [self.expression()]
        self.want(";")
        return self.done(node)

    def on_break(self, node):
        while not self.at(";"):
            self.take()
        self.take()
        return self.done(node)

    on_goto = on_break

    def on_continue(self, node):
        self.on_break(node)
        node.statement = True
        node.mutants.append(("statement", ""))
        return node

    def on_else(self, node):
        raise Unknown("else")

    def is_declaration(self):
        a, b, c = self.peek(), self.peek(1), self.peek(2)
        if a.kind != "id":
            return False
        if a.text in TYPES:
            return True
        if b.kind == "id":
            return True
        i = 1
        while self.peek(i).text == "*":
            i += 1
        return i > 1 and self.peek(i).kind == "id" and \
            self.peek(i + 1).text in ("=", ";", ",", "[") and c.text != "("

    def declaration(self, node):
        fixed = False
        while not self.at(";"):
            if self.at("static"):
                fixed = True
            if self.at("="):
                self.take()
                if self.at("{") or fixed:
                    while not self.at(";", ","):
                        if self.at("{", "(", "["):
                            self.skip_to_pair()
                        else:
                            self.take()
                else:
                    node.kids.append(self.assignment())
            elif self.at("[", "(", "{"):
                self.skip_to_pair()
            else:
                self.take()
        self.take()
        return self.done(node)

    def simple(self, node):
        expr = self.expression()
        if not self.at(";"):
            if expr.kind.startswith("call:"):  # a loop that is a macro
                node.kids = [self.one()]
                return self.done(node)
            raise Unknown(self.peek().text)
        self.take()
        node.kids = [expr]
        node.statement = True
        self.done(node)
        kind = expr.kids[0].kind if expr.kind == "cast" else expr.kind
        if kind.startswith("call:"):
            name = kind[5:]
            if name in ("KA_ASSERT", "KA_STATIC_ASSERT", "va_start", "va_end",
                        "ka_tell", "ka_look"):  # nothing in production
                return node
            node.mutants.append((call_operator(name), ""))
        else:
            expr.mutants = [m for m in expr.mutants]
            node.mutants.append(("statement", ""))
        return node


def call_operator(name):
    for operator, pattern in SYNC:
        if re.search(pattern, name):
            return operator
    return "statement" if name in ("ka_store", "memset", "memcpy") else "call"


class Mutant:
    def __init__(self, number, file, line, function, operator, was, becomes):
        self.number, self.file, self.line = number, file, line
        self.function, self.operator = function, operator
        self.was, self.becomes = was, becomes
        self.key = ""


def functions(text):
    """(name, begin, end) of the bodies."""
    for m in re.finditer(r"^\{\n.*?^\}", text, re.S | re.M):
        head = text[:m.start()].rstrip()
        lines = re.findall(r"^([A-Za-z_]\w*)\(", head, re.M)
        if lines and head.endswith(")"):
            yield lines[-1], m.start(), m.end()


class Source:
    """A file, and what becomes of it."""

    def __init__(self, name, text, first):
        self.name, self.text = name, text
        self.first = first
        self.mutants = []
        self.bodies = []
        for function, begin, end in functions(text):
            if "audit" in function:
                continue  # an oracle, no allocator
            parser = Parser(text, begin, end)
            node = parser.block()
            self.bodies.append(node)
            self.number(parser, node, function)
        self.make_keys()

    def number(self, parser, node, function):
        given = []
        for operator, becomes in node.mutants:
            number = self.first + len(self.mutants)
            line = self.text.count("\n", 0, node.begin) + 1
            self.mutants.append(Mutant(number, self.name, line, function,
                                       operator, parser.source(node),
                                       becomes))
            given.append((number, becomes))
        node.mutants = given
        for kid in node.kids:
            self.number(parser, kid, function)

    def make_keys(self):
        seen = {}
        for m in sorted(self.mutants, key=lambda m: (m.line, m.number)):
            key = "%s %s %s: %s => %s" % (m.file, m.function, m.operator,
                                          m.was, m.becomes or "(nothing)")
            seen[key] = seen.get(key, 0) + 1
            m.key = key if seen[key] == 1 else "%s #%d" % (key, seen[key])

    def written(self, without):
        """The text with all mutants but some."""
        out, at = [], 0
        for body in self.bodies:
            out.append(self.text[at:body.begin])
            out.append(self.emit(body, without))
            at = body.end
        out.append(self.text[at:])
        return "".join(out)

    def emit(self, node, without):
        out, at = [], node.begin
        for kid in sorted(node.kids, key=lambda k: k.begin):
            out.append(self.text[at:kid.begin])
            out.append(self.emit(kid, without))
            at = kid.end
        out.append(self.text[at:node.end])
        body = "".join(out)
        for number, becomes in node.mutants:
            if number in without:
                continue
            if node.statement:
                body = "{ if (!KA_MUT(%d)) { %s } }" % (number, body)
            else:
                body = "(KA_MUT(%d) ? (\n%s /* ka:%d */\n) : (%s))" % (
                    number, becomes, number, body)
        return body
