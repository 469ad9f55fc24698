//! Lists the public API from the source, whatever features are on. What cannot be shown is a panic,
//! so nothing is left out in silence.
//!
//! Other crates of the workspace include this file for an API of theirs.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs, mem,
    path::Path,
};

use syn::{
    Attribute, Fields, Ident, ImplItem, Item, ItemImpl, ItemMod, Meta, TraitItem, Type, UseTree,
    Visibility,
};

const HEADER: &str = concat!(
    "# One line per public item: its path and its signature; `_: _` stands for private fields.\n",
    "# To accept a change: UPDATE_PUBLIC_API=1 cargo test -p ",
    env!("CARGO_PKG_NAME"),
    " public_api\n"
);

#[test]
fn the_public_api_is_the_reviewed_one() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = dir.join("tests/public_api.txt");
    let mut lines = BTreeSet::new();
    list_module(
        &dir.join("src"),
        parse(&dir.join("src/lib.rs")),
        "",
        &[],
        &mut lines,
    );
    let found = lines
        .into_iter()
        .fold(HEADER.to_string(), |found, line| found + &line + "\n");
    if env::var_os("UPDATE_PUBLIC_API").is_some() {
        fs::write(&file, &found).unwrap();
    }
    let reviewed = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == reviewed,
        "the public API has changed:\n{}\n\n{HEADER}",
        difference(&reviewed, &found)
    );
}

fn difference(reviewed: &str, found: &str) -> String {
    let (old, new): (BTreeSet<_>, BTreeSet<_>) =
        (reviewed.lines().collect(), found.lines().collect());
    let removed = old.difference(&new).map(|line| (line, '-'));
    let mut lines: Vec<_> = removed
        .chain(new.difference(&old).map(|line| (line, '+')))
        .collect();
    lines.sort_by_key(|(line, _)| line.split(": ").next());
    lines
        .iter()
        .map(|(line, sign)| format!("{sign} {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Returns the items of a file, without its tests.
fn parse(file: &Path) -> Vec<Item> {
    let items = syn::parse_file(&fs::read_to_string(file).unwrap())
        .unwrap()
        .items;
    items.into_iter().filter(|item| !is_test(item)).collect()
}

fn is_test(item: &Item) -> bool {
    let Item::Mod(module) = item else {
        return false;
    };
    module.attrs.iter().any(|attr| match &attr.meta {
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => false,
    })
}

/// The items that a module shows, its own and those of its private modules: by name, their public
/// path and conditions.
type Shown = BTreeMap<String, (String, Vec<Attribute>)>;

/// Adds the lines of a public module, whose modules are in `dir`.
fn list_module(
    dir: &Path,
    mut items: Vec<Item>,
    path: &str,
    conditions: &[Attribute],
    lines: &mut BTreeSet<String>,
) {
    let mut shown = Shown::new();
    let modules: BTreeSet<String> = items.iter().filter_map(module_name).collect();
    for item in &mut items {
        if let Item::Use(reexport) = item
            && is_public(&reexport.vis)
        {
            if let UseTree::Path(of) = &reexport.tree
                && !modules.contains(&of.ident.to_string())
            {
                // It is shown where it is from.
                let names = foreign(&reexport.tree, "pub use ").into_iter();
                lines.extend(names.map(|(name, used)| format!("{path}{name}: {used}")));
                continue;
            }
            let conditions = [conditions, &kept(&reexport.attrs)].concat();
            let names = reexported(&reexport.tree).into_iter();
            shown.extend(names.map(|(name, public)| {
                (
                    name.to_string(),
                    (format!("{path}{public}"), conditions.clone()),
                )
            }));
        } else if let Some((vis, name, _)) = parts(item)
            && is_public(vis)
        {
            shown.insert(
                name.to_string(),
                (format!("{path}{name}"), conditions.to_vec()),
            );
        }
    }
    for item in items {
        match item {
            Item::Mod(module) if is_public(&module.vis) => {
                let name = module.ident.to_string();
                let conditions = [conditions, &kept(&module.attrs)].concat();
                let path = format!("{path}{name}::");
                let content = content(dir, module);
                list_module(&dir.join(name), content, &path, &conditions, lines);
            }
            item => list_private(dir, item, &shown, lines),
        }
    }
    for (path, _) in shown.values() {
        assert!(
            lines
                .iter()
                .any(|line| line.starts_with(&format!("{path}: "))),
            "{path} cannot be shown: it is of no module here"
        );
    }
}

/// Adds the lines of an item, or of those in a private module, as far as they are shown.
fn list_private(dir: &Path, item: Item, shown: &Shown, lines: &mut BTreeSet<String>) {
    let Item::Mod(module) = item else {
        return list_item(item, shown, lines);
    };
    assert!(
        !is_public(&module.vis),
        "a public module of a private one cannot be shown"
    );
    let below = dir.join(module.ident.to_string());
    for item in content(dir, module) {
        list_private(&below, item, shown, lines);
    }
}

/// Returns the items of a module, whose file is in `dir` unless they stand where it does.
fn content(dir: &Path, module: ItemMod) -> Vec<Item> {
    let file = dir.join(module.ident.to_string()).with_extension("rs");
    module
        .content
        .map_or_else(|| parse(&file), |(_, items)| items)
}

fn module_name(item: &Item) -> Option<String> {
    let Item::Mod(module) = item else {
        return None;
    };
    Some(module.ident.to_string())
}

/// Returns what another crate's items are called in public, each with where it is from.
fn foreign(tree: &UseTree, from: &str) -> Vec<(String, String)> {
    match tree {
        UseTree::Path(path) => foreign(&path.tree, &format!("{from}{}::", path.ident)),
        UseTree::Group(group) => {
            let items = group.items.iter();
            items.flat_map(|tree| foreign(tree, from)).collect()
        }
        UseTree::Name(name) => vec![(name.ident.to_string(), format!("{from}{}", name.ident))],
        _ => panic!("only names of other crates can be shown"),
    }
}

/// Returns the names in `module::{name, name as public}`, and what they are called in public.
fn reexported(tree: &UseTree) -> Vec<(&Ident, &Ident)> {
    match tree {
        UseTree::Path(path) if path.ident == "self" => reexported(&path.tree),
        UseTree::Path(path) if !matches!(*path.tree, UseTree::Path(_)) => reexported(&path.tree),
        UseTree::Group(group) => group.items.iter().flat_map(reexported).collect(),
        UseTree::Name(name) => vec![(&name.ident, &name.ident)],
        UseTree::Rename(name) => vec![(&name.ident, &name.rename)],
        _ => panic!("only names out of private modules can be shown"),
    }
}

/// Adds the lines of an item, if it is shown or belongs to one that is.
fn list_item(mut item: Item, shown: &Shown, lines: &mut BTreeSet<String>) {
    if let Item::Impl(item) = item {
        return list_impl(item, shown, lines);
    }
    let Some((Visibility::Public(_), name, attrs)) = parts(&mut item) else {
        return;
    };
    let Some((path, conditions)) = shown.get(&name.to_string()) else {
        return;
    };
    *attrs = [conditions, &kept(attrs)[..]].concat();
    match &mut item {
        Item::Fn(item) => item.block.stmts.clear(),
        Item::Struct(item) => hide_private(&mut item.fields),
        Item::Trait(item) => item.items.iter_mut().for_each(hide_default),
        Item::Enum(item) => item.variants.iter_mut().for_each(|variant| {
            variant.attrs = kept(&variant.attrs);
            variant
                .fields
                .iter_mut()
                .for_each(|field| field.attrs = kept(&field.attrs));
        }),
        _ => {}
    }
    lines.insert(format!("{path}: {}", print(item)));
}

fn list_impl(mut item: ItemImpl, shown: &Shown, lines: &mut BTreeSet<String>) {
    let (items, attrs) = (
        mem::take(&mut item.items),
        kept(&mem::take(&mut item.attrs)),
    );
    let header = print(Item::Impl(item.clone()));
    // It belongs to its type, or to one in the trait's arguments if the type is foreign.
    let own = match &*item.self_ty {
        Type::Path(own) => own.path.segments.last().map(|own| own.ident.to_string()),
        _ => None,
    };
    let others = header
        .rsplit(" for ")
        .flat_map(|part| part.split(|c: char| !c.is_alphanumeric() && c != '_'));
    let mut names = own.as_deref().into_iter().chain(others);
    let Some((path, conditions)) = names.find_map(|name| shown.get(name)) else {
        return;
    };
    item.attrs = [&conditions[..], &attrs].concat();
    if item.trait_.is_some() {
        item.items = items
            .into_iter()
            .filter(|item| !matches!(item, ImplItem::Fn(_)))
            .collect();
        lines.insert(format!("{path}: {}", print(Item::Impl(item))));
        return;
    }
    for mut member in items {
        let (vis, name, attrs) = match &mut member {
            ImplItem::Const(item) => (&item.vis, &item.ident, &mut item.attrs),
            ImplItem::Fn(method) => {
                method.block.stmts.clear();
                (&method.vis, &method.sig.ident, &mut method.attrs)
            }
            _ => panic!("only constants and methods of {path} can be shown"),
        };
        if is_public(vis) {
            *attrs = kept(attrs);
            let path = format!("{path}::{name}");
            let item = ItemImpl {
                items: vec![member],
                ..item.clone()
            };
            lines.insert(format!("{path}: {}", print(Item::Impl(item))));
        }
    }
}

/// Returns what is common to the items that can be shown.
fn parts(item: &mut Item) -> Option<(&Visibility, &Ident, &mut Vec<Attribute>)> {
    match item {
        Item::Const(item) => Some((&item.vis, &item.ident, &mut item.attrs)),
        Item::Enum(item) => Some((&item.vis, &item.ident, &mut item.attrs)),
        Item::Fn(item) => Some((&item.vis, &item.sig.ident, &mut item.attrs)),
        Item::Struct(item) => Some((&item.vis, &item.ident, &mut item.attrs)),
        Item::Trait(item) => Some((&item.vis, &item.ident, &mut item.attrs)),
        Item::Type(item) => Some((&item.vis, &item.ident, &mut item.attrs)),
        Item::ExternCrate(_) | Item::Impl(_) | Item::Mod(_) | Item::Use(_) => None,
        Item::Macro(item) if item.mac.path.is_ident("thread_local") => None,
        _ => panic!("only constants, functions, structs, enums, traits and aliases can be shown"),
    }
}

/// Makes the private fields one without name and type.
fn hide_private(fields: &mut Fields) {
    for field in fields.iter_mut() {
        field.attrs = kept(&field.attrs);
        if !is_public(&field.vis) {
            field.vis = Visibility::Inherited;
            field.ident = field
                .ident
                .take()
                .map(|ident| Ident::new("_", ident.span()));
            field.ty = syn::parse_str("_").unwrap();
        }
    }
    if let Fields::Named(fields) = fields {
        let mut hidden = false;
        let fields_in_order = mem::take(&mut fields.named).into_iter();
        fields.named = fields_in_order
            .filter(|field| is_public(&field.vis) || !mem::replace(&mut hidden, true))
            .collect();
    }
}

/// Leaves of a trait's item only what a caller sees of it.
fn hide_default(item: &mut TraitItem) {
    match item {
        TraitItem::Const(item) => item.attrs = kept(&item.attrs),
        TraitItem::Fn(item) => {
            item.attrs = kept(&item.attrs);
            if let Some(body) = &mut item.default {
                body.stmts.clear();
            }
        }
        TraitItem::Type(item) => item.attrs = kept(&item.attrs),
        _ => panic!("only constants, functions and types of a trait can be shown"),
    }
}

fn is_public(vis: &Visibility) -> bool {
    matches!(vis, Visibility::Public(_))
}

/// Leaves out the attributes that say nothing to a caller.
fn kept(attrs: &[Attribute]) -> Vec<Attribute> {
    let silent = |attr: &Attribute| match &attr.meta {
        Meta::List(list) if list.path.is_ident("cfg_attr") => {
            list.tokens.to_string().contains("doc =")
        }
        meta => ["allow", "doc", "error", "expect", "inline"]
            .iter()
            .any(|name| meta.path().is_ident(name)),
    };
    attrs.iter().filter(|attr| !silent(attr)).cloned().collect()
}

/// Prints an item on one line.
fn print(item: Item) -> String {
    let text = prettyplease::unparse(&syn::File {
        items: vec![item],
        ..syn::parse_str("").unwrap()
    });
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace("( ", "(")
        .replace(", )", ")")
        .replace(", }", " }")
        .replace(" {}", "")
        .trim_end_matches(';')
        .to_string()
}
