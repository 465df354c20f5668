"""Words that captions consist of when they say nothing: for a picture, dates, navigation.

Short lists of our own in the languages of the web; all in lower case.
"""

PICTURE = """
image images picture pictures pic pics photo photos photograph photography img thumbnail thumb icon
logo banner graphic illustration figure screenshot untitled unnamed default placeholder slide cover
avatar preview gallery stock product no alt text null none undefined
bild bilder foto fotos abbildung grafik vorschaubild produktbild symbolbild titelbild
imagen imágenes fotografía fotografia ilustración logotipo miniatura sin título
photographie photographies vignette illustration aperçu sans titre
immagine immagini fotografie anteprima miniatura senza titolo
imagem imagens fotografias ilustração sem título
afbeelding afbeeldingen plaatje plaatjes
zdjęcie zdjęcia obraz obrazek grafika miniaturka
obrázek obrázky fotka ilustrační
изображение изображения картинка картинки фото фотография рисунок иконка логотип
зображення фотографія світлина
resim resimler fotoğraf görsel görseli
صورة صور الصورة عکس تصویر
תמונה תמונות
चित्र तस्वीर फोटो छवि
ภาพ รูป รูปภาพ
hình ảnh
gambar foto
kuva kuvat valokuva bilder bild billede billeder
εικόνα φωτογραφία
画像 写真 イメージ 図 画像なし 图片 图像 照片 圖片 照片 图 이미지 사진 그림
"""
FILLERS = """
of the a an for from no number nr nº n° # by in and with
von der die das für de la el del du des le les di da do dos das van het een z na od для из
"""
MONTHS = """
january february march april may june july august september october november december
jan feb mar apr jun jul aug sep sept oct nov dec
januar februar märz april mai juni juli oktober dezember januari februari maart mei augustus
janvier février mars avril juin juillet août septembre octobre novembre décembre
enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
gennaio febbraio aprile maggio giugno luglio settembre ottobre dicembre
janeiro fevereiro março maio junho julho setembro outubro novembro dezembro
января февраля марта апреля мая июня июля августа сентября октября ноября декабря
stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia
"""
DATE_WORDS = """
monday tuesday wednesday thursday friday saturday sunday mon tue wed thu fri sat sun
montag dienstag mittwoch donnerstag freitag samstag sonntag lundi mardi mercredi jeudi vendredi
samedi dimanche lunes martes miércoles jueves viernes sábado domingo
am pm utc gmt est pst cet of the de on at st nd rd th uhr date
posted published updated
"""
NAVIGATION = """
click to enlarge|click for larger image|click here|click image to enlarge|click to view|tap to zoom
click to expand|click on image|view larger image|view full size|full size image|enlarge image
page loading|loading...|please wait|read more|learn more|see more|show more|load more|next page
previous page|back to top|go to top|scroll to top|skip to content|sign up|sign in|log in|add to cart
add to wishlist|add to favorites|buy now|shop now|download now|subscribe now|share this|share on
follow us|contact us|about us|home page|main menu|toggle navigation|close menu|open menu
image not available|image not found|no image available|image unavailable|no image|no photo
no picture available|photo not available|picture not available|coming soon
javascript is disabled|enable javascript
all rights reserved|terms of use|privacy policy|advertisement|sponsored
zum vergrößern klicken|klicken zum vergrößern|bild vergrößern|klicken sie|mehr lesen|weiterlesen
mehr erfahren|in den warenkorb|kein bild|kein bild verfügbar|bild folgt|seite lädt|nach oben
zurück zur startseite|startseite|impressum|datenschutz|anmelden|alle rechte vorbehalten|anzeige
cliquez pour agrandir|cliquer pour agrandir|lire la suite|en savoir plus|ajouter au panier|voir plus
pas d'image|image non disponible|chargement|retour en haut|se connecter|tous droits réservés
publicité|clic para ampliar|haga clic|haz clic|leer más|ver más|añadir al carrito|sin imagen
cargando|imagen no disponible|iniciar sesión|todos los derechos reservados|publicidad|volver arriba
clicca per ingrandire|leggi tutto|leggi di più|aggiungi al carrello|nessuna immagine|caricamento
immagine non disponibile|accedi|torna su|pubblicità
clique para ampliar|leia mais|saiba mais|ver mais|adicionar ao carrinho|sem imagem|carregando
imagem não disponível|voltar ao topo|publicidade
klik om te vergroten|lees meer|in winkelwagen|geen afbeelding|laden...|naar boven
kliknij, aby powiększyć|czytaj więcej|dodaj do koszyka|brak zdjęcia|brak obrazka|ładowanie
klikněte pro zvětšení|číst dále|bez obrázku
нажмите, чтобы увеличить|увеличить|читать далее|подробнее|в корзину|нет фото|нет изображения
загрузка|наверх|войти|все права защищены|реклама
büyütmek için tıklayın|devamını oku|sepete ekle|resim yok|yükleniyor
クリックで拡大|クリックすると拡大|続きを読む|もっと見る|カートに入れる|読み込み中|画像はありません|ログイン
点击放大|点击查看大图|阅读更多|查看更多|加入购物车|加载中|暂无图片|登录|點擊放大|閱讀更多|加入購物車|載入中
클릭하면 확대|더 보기|장바구니에 담기|이미지 없음|로딩 중|로그인
اضغط للتكبير|اقرأ المزيد|جاري التحميل|لا توجد صورة
คลิกเพื่อขยาย|อ่านเพิ่มเติม|ไม่มีรูปภาพ
nhấn để phóng to|xem thêm|đọc thêm|klik untuk memperbesar|baca selengkapnya|tidak ada gambar
"""


def phrases(listed: str) -> tuple[str, ...]:
    """Return the phrases of a list that `|` and line breaks part."""
    return tuple(part for line in listed.strip().split("\n") for part in line.split("|") if part)


def words(*listed: str) -> frozenset[str]:
    """Return the words of lists that white space parts."""
    return frozenset(word for each in listed for word in each.split())
