//! Lists the public items.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use quote::ToTokens;
use syn::{Fields, ImplItem, Item, ItemImpl, TraitItem, Type};

use super::modules::{Definition, ModuleId, Modules, ROOT, is_hidden, is_public, name_of};
use super::text::{attributes, code};

/// Returns a line for each public item, sorted.
pub(crate) fn public_items(modules: &Modules) -> Vec<String> {
    let mut list = List {
        modules,
        implementations: implementations(modules),
        listed: BTreeMap::new(),
        lines: BTreeSet::new(),
    };
    list.module(ROOT, modules.name(ROOT));
    list.lines.into_iter().collect()
}

type Implementations<'m> = HashMap<Definition, Vec<&'m ItemImpl>>;

/// Returns the `impl` blocks of each type of the crate.
fn implementations(modules: &Modules) -> Implementations<'_> {
    let mut found = Implementations::new();
    for id in modules.ids() {
        for item in &modules.get(id).items {
            let Item::Impl(item) = item else { continue };
            if is_hidden(&item.attrs) {
                continue;
            }
            let Type::Path(path) = &*item.self_ty else { continue };
            let path: Vec<_> = path.path.segments.iter().map(|it| it.ident.to_string()).collect();
            if let Some(definition) = modules.resolve(id, &path) {
                found.entry(definition).or_default().push(item);
            }
        }
    }
    found
}

struct List<'m> {
    modules: &'m Modules,
    implementations: Implementations<'m>,
    /// Definitions in the list, each with its first public path.
    listed: BTreeMap<Definition, String>,
    lines: BTreeSet<String>,
}

impl List<'_> {
    fn line(&mut self, path: &str, declaration: &str) {
        self.lines.insert(format!("{path}: {declaration}"));
    }

    /// Lists a public module: its modules first, so that re-exports name their definitions.
    fn module(&mut self, id: ModuleId, path: &str) {
        let module = self.modules.get(id);
        for (child, is_public) in &module.children {
            if *is_public {
                let path = format!("{path}::{}", self.modules.name(*child));
                self.line(&path, "pub mod");
                self.module(*child, &path);
            }
        }
        for item in &module.items {
            if let Some(name) = name_of(item) {
                self.definition(&Definition { module: id, name }, path, None);
            }
        }
        for import in module.imports.iter().filter(|import| import.is_public) {
            match (&import.name, self.modules.resolve(id, &import.path)) {
                (Some(name), Some(definition)) => self.definition(&definition, path, Some(name)),
                (None, _) if self.modules.resolve_module(id, &import.path).is_some() => {
                    let from = self.modules.resolve_module(id, &import.path).unwrap_or(ROOT);
                    self.module(from, path);
                }
                (name, _) => {
                    let name = name.as_deref().unwrap_or("*");
                    self.line(path, &format!("pub use {} as {name}", import.path.join("::")));
                }
            }
        }
    }

    /// Lists a definition at a public path; `name` is the one that a re-export gives it.
    fn definition(&mut self, definition: &Definition, path: &str, name: Option<&String>) {
        let name = name.unwrap_or(&definition.name);
        let full = format!("{path}::{name}");
        if let Some(first) = self.listed.get(definition) {
            let first = first.clone();
            return self.line(path, &format!("pub use {first}"));
        }
        let module = self.modules.get(definition.module);
        let items = module.items.iter();
        for item in items.filter(|item| name_of(item).as_ref() == Some(&definition.name)) {
            if self.item(item, path, &full) {
                self.listed.insert(definition.clone(), full.clone());
            }
        }
        if self.listed.get(definition) == Some(&full) {
            let implementations = self.implementations.remove(definition).unwrap_or_default();
            for implementation in implementations {
                self.implementation(implementation, &full);
            }
        }
    }

    /// Lists an item and its parts if it is public.
    fn item(&mut self, item: &Item, path: &str, full: &str) -> bool {
        let (attrs, visibility, declaration) = match item {
            Item::Const(item) => (
                &item.attrs,
                &item.vis,
                format!("const {}: {} = {}", item.ident, code(&item.ty), code(&item.expr)),
            ),
            Item::Enum(item) => (&item.attrs, &item.vis, head("enum", &item.ident, &item.generics)),
            Item::Fn(item) => (&item.attrs, &item.vis, code(&item.sig)),
            Item::Struct(item) => {
                let declaration = head("struct", &item.ident, &item.generics);
                (&item.attrs, &item.vis, declaration + private_fields(&item.fields))
            }
            Item::Trait(item) => {
                (&item.attrs, &item.vis, head("trait", &item.ident, &item.generics))
            }
            Item::Type(item) => (
                &item.attrs,
                &item.vis,
                format!("{} = {}", head("type", &item.ident, &item.generics), code(&item.ty)),
            ),
            _ => return false,
        };
        if is_hidden(attrs) || !is_public(visibility) {
            return false;
        }
        self.line(path, &format!("{}pub {declaration}", attributes(attrs)));
        match item {
            Item::Enum(item) => {
                for variant in &item.variants {
                    let declaration = format!("{}{}", variant.ident, fields_of(&variant.fields));
                    self.line(full, &format!("{}{declaration}", attributes(&variant.attrs)));
                }
            }
            Item::Struct(item) => {
                for (index, field) in item.fields.iter().enumerate() {
                    if is_public(&field.vis) {
                        let name = field
                            .ident
                            .as_ref()
                            .map_or_else(|| index.to_string(), ToString::to_string);
                        self.line(full, &format!("pub {name}: {}", code(&field.ty)));
                    }
                }
            }
            Item::Trait(item) => {
                for part in &item.items {
                    if let TraitItem::Fn(function) = part {
                        self.line(full, &code(&function.sig));
                    }
                }
            }
            _ => {}
        }
        true
    }

    fn implementation(&mut self, implementation: &ItemImpl, full: &str) {
        let generics = code(&implementation.generics);
        let of = code(&implementation.self_ty);
        if let Some((name, _)) = &implementation.trait_ {
            return self.line(full, &format!("impl{generics} {} for {of}", code(name)));
        }
        for item in &implementation.items {
            match item {
                ImplItem::Fn(function)
                    if is_public(&function.vis) && !is_hidden(&function.attrs) =>
                {
                    let declaration =
                        format!("{}pub {}", attributes(&function.attrs), code(&function.sig));
                    self.line(full, &declaration);
                }
                ImplItem::Const(item) if is_public(&item.vis) && !is_hidden(&item.attrs) => {
                    let (ty, value) = (code(&item.ty), code(&item.expr));
                    self.line(full, &format!("pub const {}: {ty} = {value}", item.ident));
                }
                _ => {}
            }
        }
    }
}

fn head(keyword: &str, name: &impl ToTokens, generics: &syn::Generics) -> String {
    let bounds =
        generics.where_clause.as_ref().map_or_else(String::new, |it| format!(" {}", code(it)));
    format!("{keyword} {}{}{bounds}", code(name), code(generics))
}

/// Says that a struct cannot be built outside the crate.
fn private_fields(fields: &Fields) -> &'static str {
    if fields.iter().all(|field| is_public(&field.vis)) { "" } else { " { private fields }" }
}

/// Returns the fields of a variant without their documentation.
fn fields_of(fields: &Fields) -> String {
    let one = |field: &syn::Field| {
        let name = field.ident.as_ref().map_or_else(String::new, |name| format!("{name}: "));
        name + &code(&field.ty)
    };
    let all: Vec<_> = fields.iter().map(one).collect();
    match fields {
        Fields::Named(_) => format!(" {{ {} }}", all.join(", ")),
        Fields::Unnamed(_) => format!("({})", all.join(", ")),
        Fields::Unit => String::new(),
    }
}
